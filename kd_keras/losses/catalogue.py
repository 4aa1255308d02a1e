"""The losses there are, read from the classes themselves."""

from __future__ import annotations

import dataclasses
import inspect
import re
from typing import Any

import kd_keras.losses
from kd_keras.losses.contract.base import Loss


@dataclasses.dataclass(frozen=True)
class Entry:
    """One loss.

    Attributes:
        name: Its class.
        matches: What it compares: "logits", "features", "relations", "contrast" or "gradients".
        summary: The first line of its docstring.
        defaults: Its own arguments with their defaults, as one would write them.
        paper: Title, venue and arXiv number.
    """

    name: str
    matches: str
    summary: str
    defaults: str
    paper: str


def catalogue() -> tuple[Entry, ...]:
    """Return all losses of this package, by what they match and then by name.

    Example:

    >>> from kd_keras.losses.catalogue import catalogue
    >>> next(entry.defaults for entry in catalogue() if entry.name == "KLDivergence")
    'temperature=4.0'
    """
    entries = []
    for name in kd_keras.losses.__all__:
        loss = getattr(kd_keras.losses, name)
        # The bases, which users extend, have no paper.
        if isinstance(loss, type) and issubclass(loss, Loss) and "Reference:" in _doc(loss):
            entries.append(_entry(loss))
    order = ("logits", "features", "relations", "contrast", "gradients")
    return tuple(sorted(entries, key=lambda entry: (order.index(entry.matches), entry.name)))


def _entry(loss: type[Loss]) -> Entry:
    doc = _doc(loss)
    reference = doc.split("Reference:", 1)[1].strip().split("\n\n")[0]
    return Entry(
        name=loss.__name__,
        matches=loss.matches,
        summary=doc.splitlines()[0],
        defaults=", ".join(
            f"{parameter.name}={parameter.default!r}"
            for parameter in inspect.signature(loss).parameters.values()
            if not parameter.name.endswith("_layer_name")
            and parameter.default is not inspect.Parameter.empty
        ),
        paper=re.sub(r"\s+", " ", reference).rstrip("."),
    )


def _doc(loss: Any) -> str:
    return inspect.getdoc(loss) or ""
