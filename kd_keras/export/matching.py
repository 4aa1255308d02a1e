"""Which operator of one file does what which operator of another one does."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Sequence
from typing import Any

from kd_keras.export.plain import Node, PlainModel

# They change the form of numbers and stand wherever a conversion puts them.
FORM = frozenset({"CAST", "DEQUANTIZE", "FAKE_QUANT", "QUANTIZE"})


def match(first: PlainModel, second: PlainModel) -> dict[int, int]:
    """Return the positions of operators of `first` with those of `second` that do the same.

    Operators match where kind, shapes and output name are the same. The converter appends numbers
    to names and takes other names where it fused other operators, so what is left is matched by
    the order of kinds and shapes. Operators that change the form alone never match.
    """
    pairs: dict[int, int] = {}
    for clean in (str, _without_number):
        taken = set(pairs.values())
        left = _named(first, clean, skip=pairs)
        right = _named(second, clean, skip=taken)
        pairs.update({left[key]: right[key] for key in left.keys() & right.keys()})
    taken = set(pairs.values())
    rest = [i for i in _calculating(first) if i not in pairs]
    others = [i for i in _calculating(second) if i not in taken]
    blocks = difflib.SequenceMatcher(
        None, [_kind(first, i) for i in rest], [_kind(second, i) for i in others], autojunk=False
    ).get_matching_blocks()
    for block in blocks:
        for offset in range(block.size):
            pairs[rest[block.a + offset]] = others[block.b + offset]
    return pairs


def _calculating(model: PlainModel) -> list[int]:
    return [
        i
        for i, node in enumerate(model.nodes)
        if node.kind not in FORM and node.inputs and node.outputs
    ]


def _kind(model: PlainModel, position: int) -> tuple[Any, ...]:
    """Return the kind, and the shapes of the first input and output."""
    node: Node = model.nodes[position]
    ends = (node.inputs[0], node.outputs[0])
    return (node.kind, *(tuple(map(int, model.details[index]["shape"])) for index in ends))


def _named(model: PlainModel, clean: Any, skip: Any) -> dict[tuple[Any, ...], int]:
    """Return the positions of the operators that kind, shape and cleaned name tell apart."""
    keys: Sequence[tuple[tuple[Any, ...], int]] = [
        ((*_kind(model, i), clean(model.details[model.nodes[i].outputs[0]]["name"])), i)
        for i in _calculating(model)
        if i not in skip
    ]
    counts = Counter(key for key, _ in keys)
    return {key: i for key, i in keys if counts[key] == 1}


def _without_number(name: str) -> str:
    return name.rstrip("0123456789")
