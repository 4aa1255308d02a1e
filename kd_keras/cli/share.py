"""A share of work that several calls divide: K/N on the command line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

import tyro


def _share_of(arguments: Sequence[str]) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)/(\d+)", arguments[0])
    if match is None:
        raise ValueError(f"must be K/N, such as 1/2. Received: {arguments[0]!r}")
    return int(match[1]), int(match[2])


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
