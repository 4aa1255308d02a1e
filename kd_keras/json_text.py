"""JSON that may be a stranger's. Below every room: whoever reads JSON reads it so."""

from __future__ import annotations

import json
import os
from typing import Any

from kd_keras.regular_file import read_text

# What this package writes is nested ten deep at most. What is nested deeper than Python calls go
# would end wherever it is walked: when it is read, compared, printed or written again.
_DEEPEST = 100


def parse_json(text: str) -> Any:
    """Return what JSON text says.

    Raises:
        ValueError: If it is no JSON, or nested deeper than anything that this package writes.

    Example:

    >>> from kd_keras.json_text import parse_json
    >>> parse_json('{"epochs": 30}')
    {'epochs': 30}
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise _too_deep() from None
    level = [value]
    for _ in range(_DEEPEST + 1):
        level = [inner for outer in level for inner in _inner(outer)]
        if not level:
            return value
    raise _too_deep()


def read_json(path: str | os.PathLike[str]) -> Any:
    """Return what a file says, JSON in UTF-8.

    Raises:
        OSError: As `kd_keras.regular_file.open_regular`.
        ValueError: As `parse_json`, or if it is no UTF-8.
    """
    return parse_json(read_text(path))


def _inner(value: Any) -> list[Any]:
    values = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [inner for inner in values if isinstance(inner, (dict, list))]


def _too_deep() -> ValueError:
    return ValueError(f"it is nested more than {_DEEPEST} levels deep")
