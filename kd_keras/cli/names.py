"""Lists of policies as a person types them: repeated, or separated by commas."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import get_args

from kd_keras.recipes.recipe import PolicyName

KNOWN: tuple[str, ...] = get_args(PolicyName)


def split_policies(option: str, values: Sequence[str]) -> tuple[str, ...]:
    """Return the policies that the values of an option name, each once, in their order.

    Args:
        option: The option, for the error.
        values: Names, or several in one with commas between.

    Raises:
        ValueError: If there is no policy of such a name.
    """
    names = [name.strip() for value in values for name in value.split(",") if name.strip()]
    for name in names:
        if name not in KNOWN:
            close = difflib.get_close_matches(name.lower(), KNOWN, n=1)
            suggestion = f" Did you mean {close[0]!r}?" if close else ""
            raise ValueError(
                f"{option} takes {', '.join(map(repr, KNOWN))}. Received: {name!r}.{suggestion}"
            )
    return tuple(dict.fromkeys(names))
