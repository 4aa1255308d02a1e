"""Students that carry trained int8 ranges: how they are told, and how close their file must be."""

from __future__ import annotations

import math

import keras
import numpy as np

from kd_keras.export.examples import Examples
from kd_keras.export.interpreter import open_interpreter, without_delegates
from kd_keras.export.result import OutputDifference
from kd_keras.export.runtime import LiteModel
from kd_keras.export.signature import MAIN, Signature
from kd_keras.export.student import computing_in_float32

_FAKE_QUANTIZATION = "FakeQuantWithMinMax"
# A file rounds in integers where the student rounds in floats. Where a value lies halfway between
# two levels they may part, and the layers behind carry it on: trained students differed by 0.3
# steps of the output in the mean and by 3 at most. Each operator that rounds parts them anew, and
# partings in random directions add up as the root of their number: of a ResNet-56 (85 such
# operators) LiteRT's own two sets of kernels are 1.4 steps apart, and a good file up to 1.7.
_MEAN_STEPS = 1.0
_LARGEST_STEPS = 16.0
_SHALLOW = 12
_KERNELS = 1.5
_ROUNDING = frozenset(
    {"ADD", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "MEAN", "MUL", "SUB"}
)


def check_trained_ranges(student: keras.Model, signature: Signature, quantization: str) -> bool:
    """Return whether a student's inference rounds as int8 does: its file needs no calibration.

    Told by the ops that it runs and not by its layers, so that models of other libraries count.

    Args:
        student: The student.
        signature: Its own.
        quantization: The preset of the file.

    Raises:
        ValueError: If it does, and the file is none of int8.
    """
    with computing_in_float32(student):
        graph = signature.traced.graph.as_graph_def()
    nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
    is_trained = any(node.op.startswith(_FAKE_QUANTIZATION) for node in nodes)
    if is_trained and quantization != "int8":
        raise ValueError(
            "`student` has trained int8 ranges, and its file calculates with them: choose "
            "quantization='int8', or export the student that it was made from. "
            f"Received: quantization={quantization!r}"
        )
    return is_trained


def check_steps(
    model: LiteModel, outputs: tuple[OutputDifference, ...], examples: Examples | None = None
) -> None:
    """Raise unless an int8 file gives what the student with its trained ranges gives.

    The tolerance is 1 quantisation step of the output in the mean over all verified values, and 16
    for the largest difference, for up to 12 operators that round; for n of them sqrt(n / 12) times
    as much. Some networks carry on what parts further than others: where a file misses that, it
    may differ by one and a half times what LiteRT's two sets of kernels differ by on it.

    Args:
        model: The file.
        outputs: How it compares with the student.
        examples: Inputs by name to run both sets of kernels on; None for the first bound alone.

    Raises:
        ValueError: If an output is further away.
    """
    steps = output_steps(model)
    rounding = sum(operator.name in _ROUNDING for operator in model.operators())
    depth = max(1.0, math.sqrt(rounding / _SHALLOW))
    allowed = depth * _MEAN_STEPS, depth * _LARGEST_STEPS
    for output in outputs:
        step = steps.get(output.name)
        if step is None:  # not of int8: its operators are reported as float
            continue
        mean, largest = output.mean / step, output.largest / step
        if mean <= allowed[0] and largest <= allowed[1]:
            continue
        apart = (0.0, 0.0) if examples is None else _kernels_apart(model, output.name, examples)
        if mean > _KERNELS * apart[0] / step or largest > _KERNELS * apart[1] / step:
            raise ValueError(
                "The int8 file does not calculate what `student` with its trained ranges does: "
                f"output {output.name!r} differs by {mean:.2g} quantisation steps in the mean and "
                f"{largest:.3g} at most; {allowed[0]:.3g} and {allowed[1]:.3g} are allowed for its "
                f"{rounding} operators that round. Make "
                "it with kd_keras.quantize.quantization_aware, which rounds where the file does. "
                "Nothing was kept."
            )


def _kernels_apart(model: LiteModel, name: str, examples: Examples) -> tuple[float, float]:
    """Return by how much XNNPACK and TFLite's own kernels differ: mean and largest."""
    own = LiteModel(model.path, xnnpack=False)
    difference = np.abs(model.predict_all(examples)[name] - own.predict_all(examples)[name])
    return float(difference.mean()), float(difference.max())


def output_steps(model: LiteModel) -> dict[str, float]:
    """Return the quantisation step of each output that the file calculates in integers, by name."""
    interpreter = open_interpreter(model.content, model.path, **without_delegates())
    scales = {
        tensor["index"]: tensor["quantization"][0] for tensor in interpreter.get_tensor_details()
    }
    # LiteRT has no public call for this.
    for operator in interpreter._get_ops_details():
        if operator["op_name"] == "DEQUANTIZE":
            scales[operator["outputs"][0]] = scales[operator["inputs"][0]]
    named = interpreter.get_signature_runner(MAIN).get_output_details()
    return {
        name: scales[detail["index"]] for name, detail in named.items() if scales[detail["index"]]
    }
