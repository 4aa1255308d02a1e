"""Options as a person types them: lists of policies, and a share of work that calls divide."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import Annotated, get_args

import tyro

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


def _share_of(arguments: Sequence[str]) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)/(\d+)", arguments[0])
    if match is None:
        raise ValueError(f"must be K/N, such as 1/2. Received: {arguments[0]!r}")
    return int(match[1]), int(match[2])


# As K/N.
Share = Annotated[
    tuple[int, int],
    tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="K/N",
        instance_from_str=_share_of,
        is_instance=lambda value: isinstance(value, tuple),
        str_from_instance=lambda share: [f"{share[0]}/{share[1]}"],
    ),
]
