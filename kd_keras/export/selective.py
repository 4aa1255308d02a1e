"""Keep the part of a student that does not stand int8 in float32: its front end.

A network behind a mel spectrogram, say, stands int8, and the spectrogram does not: squares span
eighty decibels, int8 holds forty-eight. What loses the agreement lies at the front then, and as
few operators as suffice, from the input on, stay in float32.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kd_keras.export.conversion import convert, saved
from kd_keras.export.converter import configured_converter
from kd_keras.export.matching import match
from kd_keras.export.metadata_file import serialized
from kd_keras.export.plain import PlainModel
from kd_keras.export.quiet import quiet_converter
from kd_keras.export.signature import Signature
from kd_keras.quantize.rounding import LEAST_WIDTH

# More than this share of the operators with weights in float32 would be another preset.
_MOST_SHARE = 0.5
_NOWHERE = Path("calibrated.tflite")


@dataclass(frozen=True)
class Kept:
    """A file with its front end in float32.

    Attributes:
        content: The file.
        operators: What stays in float32, in order, as "KIND name".
    """

    content: bytes
    operators: tuple[str, ...]


def int8_behind_a_float_front(
    signatures: Sequence[Signature],
    representative: Mapping[str, np.ndarray],
    suffices: Callable[[bytes, bool], bool],
) -> Kept | None:
    """Return an int8 file whose first operators calculate in float32, as few as suffice.

    Ranges are at least as wide as those of `kd_keras.quantize`.

    Args:
        signatures: What the file offers: the student's own signature alone.
        representative: The calibration examples by the names of the inputs.
        suffices: Whether a file is good enough; with True, by a stricter bar, since a few further
            operators in float32 cost little where some must be.

    Returns:
        The file; None where half of the layers with weights in float32 are not enough.
    """
    with saved(signatures) as folder, quiet_converter():
        names = [signature.name for signature in signatures]
        converter = configured_converter(folder, names, "int8", representative)
        debugger = tf.lite.experimental.QuantizationDebugger(
            converter=converter, debug_dataset=converter.representative_dataset
        )
        calibrated = PlainModel(debugger.calibrated_model, _NOWHERE)
        debugger.calibrated_model = _widened(debugger.calibrated_model)
        named = [_name(calibrated, position) for position in range(len(calibrated.nodes))]
        weights = [i for i, node in enumerate(calibrated.nodes) if _has_weights(calibrated, node)]

        # Kept, because the quantiser does not give the same bytes twice: what is returned must be
        # what was measured.
        @functools.cache
        def front(count: int) -> bytes:
            debugger.options = tf.lite.experimental.QuantizationDebugOptions(
                denylisted_nodes=[name for _, name in named[:count]]
            )
            return bytes(debugger.get_nondebug_quantized_model())

        if suffices(front(0), False):  # a layer that is silent on the examples was all
            return Kept(front(0), ())
        count = _fewest(_most(weights, len(named)), front, suffices)
        if count is None:
            return None
        return Kept(front(count), tuple(" ".join(each) for each in named[:count]))


def dynamic_behind_a_float_front(
    student: keras.Model,
    signatures: Sequence[Signature],
    content: bytes,
    suffices: Callable[[bytes, bool], bool],
) -> Kept | None:
    """Return a dynamic file with the first of its weights back in float32, as few as suffice.

    Args:
        student: The student.
        signatures: What the file offers: the student's own signature alone.
        content: The dynamic file.
        suffices: Whether a file is good enough; with True, by a stricter bar, since a few further
            operators in float32 cost little where some must be.
    """
    whole = convert(student, signatures, "none", None)
    model, twin = PlainModel(content, _NOWHERE), PlainModel(whole, _NOWHERE)
    pairs = match(model, twin)
    weights = [
        position
        for position, node in enumerate(model.nodes)
        if position in pairs and any(_is_int8(model, index) for index in node.inputs)
    ]

    def front(count: int) -> bytes:
        return _with_float_weights(content, whole, {i: pairs[i] for i in weights[:count]})

    count = _fewest(int(len(weights) * _MOST_SHARE), front, suffices)
    if count is None:
        return None
    return Kept(front(count), tuple(" ".join(_name(model, i)) for i in weights[:count]))


def warn_of_front(quantization: str, operators: Sequence[str]) -> None:
    """Say what a file keeps in float32, and why."""
    count, first, last = len(operators), operators[0], operators[-1]
    named = first if count == 1 else f"{first} to {last}, {count} in all"
    advice = (
        ". On an integer-only accelerator they do not run: move them out of the student into the "
        "app, or let the student learn the rounding (kd_keras.quantize.quantization_aware)."
        if quantization == "int8"
        else ". Their weights take four times the bytes."
    )
    warnings.warn(
        f"The {quantization} file keeps these operators in float32, because with them in int8 it "
        f"does not answer as the student does: {named}{advice}",
        UserWarning,
        stacklevel=4,
    )


def _most(weights: Sequence[int], operators: int) -> int:
    """Return how many operators from the front may stay in float32."""
    if not weights:
        return 0
    allowed = int(len(weights) * _MOST_SHARE)
    return weights[allowed] if allowed < len(weights) else operators


def _fewest(
    most: int, front: Callable[[int], bytes], suffices: Callable[[bytes, bool], bool]
) -> int | None:
    """Return the least count from 1 to `most` that suffices strictly, or else just so."""
    for strictly in (True, False):
        if most < 1 or not suffices(front(most), strictly):
            continue
        low, high = 0, most
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if suffices(front(middle), strictly) else (middle, high)
        return high
    return None


def _name(model: PlainModel, position: int) -> tuple[str, str]:
    node = model.nodes[position]
    return node.kind, str(model.details[node.outputs[0]]["name"])


def _has_weights(model: PlainModel, node: Any) -> bool:
    return any(
        index in model.constants and len(model.details[index]["shape"]) > 1
        for index in node.inputs[1:]
    ) and node.kind in (
        "CONV_2D",
        "DEPTHWISE_CONV_2D",
        "FULLY_CONNECTED",
        "BATCH_MATMUL",
        "CONV_3D",
    )


def _is_int8(model: PlainModel, index: int) -> bool:
    return index in model.constants and model.details[index]["dtype"] == np.int8


def _widened(calibrated: bytes) -> bytes:
    """Return a calibrated file without ranges too narrow for the biases of the layers behind."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(calibrated, 0)
    for graph in model.subgraphs:
        for index, tensor in enumerate(graph.tensors):
            seen = tensor.quantization
            if seen is None or seen.min is None or len(seen.min) != 1 or index in graph.outputs:
                continue
            low, high = min(float(seen.min[0]), 0.0), max(float(seen.max[0]), 0.0)
            if high - low < LEAST_WIDTH:
                seen.min, seen.max = [low], [low + LEAST_WIDTH]
    return serialized(model)


def _with_float_weights(content: bytes, whole: bytes, pairs: Mapping[int, int]) -> bytes:
    """Return a file in which these operators read the float weights of their twins in `whole`."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    twin = schema.ModelT.InitFromPackedBuf(whole, 0)
    graph, float_graph = model.subgraphs[0], twin.subgraphs[0]
    for position, other in pairs.items():
        inputs = graph.operators[position].inputs
        for index, float_index in zip(inputs, float_graph.operators[other].inputs, strict=True):
            tensor = graph.tensors[index]
            if index < 0 or tensor.type != schema.TensorType.INT8:
                continue
            source = float_graph.tensors[float_index]
            tensor.type, tensor.quantization = source.type, None
            model.buffers[tensor.buffer].data = twin.buffers[source.buffer].data
    return serialized(model)
