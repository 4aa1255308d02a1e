"""Which names a class may have: any that stands on one line of a label file and can be read there.

Below every room: names are checked where data are opened, hours before they are packed into a file.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Sequence

from kd_keras.escaping import visible


def is_class_name(name: object) -> bool:
    """Whether `name` is text with something to see in it, and with nothing that acts unseen.

    Example:

    >>> from kd_keras.class_names import is_class_name
    >>> [is_class_name(name) for name in (r"$\\frac{1}{2}$", "ne\\nw", " ")]
    [True, False, False]
    """
    if not isinstance(name, str) or visible(name) != name:
        return False
    return bool(_seen(name).strip())


def check_class_names(names: Sequence[str], received: str, remedy: str) -> None:
    """Raise where a class has a name that no label file can hold or no reader can tell apart.

    Args:
        names: Of the classes.
        received: What they are of, for the error.
        remedy: What the error recommends.

    Raises:
        ValueError: If a name is blank, holds a line break or another control character, or looks as
            that of another class.
    """
    wrong = [name for name in names if not is_class_name(name)]
    if wrong:
        raise ValueError(
            "The name of a class must be one line of text that can be read: not blank, without "
            f"control characters. Received: {_some(wrong)} in {received}. {remedy}"
        )
    alike: dict[str, list[str]] = defaultdict(list)
    for name in names:
        alike[unicodedata.normalize("NFC", _seen(name).strip())].append(name)
    twice = [name for group in alike.values() if len(group) > 1 for name in group]
    if twice:
        raise ValueError(
            "Classes must have names that a reader can tell apart. Received: "
            f"{_some(twice)} in {received}, which look the same. {remedy}"
        )


def _seen(name: str) -> str:
    """Return a name without the characters that take no room, such as joiners."""
    return "".join(character for character in name if unicodedata.category(character) != "Cf")


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(map(ascii, names[:4]))
    return f"{shown} and {len(names) - 4} more" if len(names) > 4 else shown
