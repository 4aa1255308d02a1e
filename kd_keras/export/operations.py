"""How much a `.tflite` file calculates, and how many parameters it has."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kd_keras.export.plain import PlainModel, open_plain


@dataclass(frozen=True)
class Operations:
    """The arithmetic of a file for one image.

    Attributes:
        macs: Multiply-accumulates of convolutions, dense layers and matrix products.
        parameters: Values of weights and biases in the file. The converter folds BatchNorm into
            convolutions, and adds or drops biases of zeros, so that a Keras model's
            `count_params()` differs.
        uncounted: Sorted names of operators whose multiply-accumulates are not in `macs`: loops,
            recurrent cells and custom operators. Empty where the figure is complete.
    """

    macs: int
    parameters: int
    uncounted: tuple[str, ...]

    @property
    def flops(self) -> int:
        """Floating-point operations: two for each multiply-accumulate.

        Biases, activations and element-wise arithmetic are left out, as is customary.
        """
        return 2 * self.macs


def count_operations(path: str | os.PathLike[str]) -> Operations:
    """Count multiply-accumulates and parameters of a `.tflite` file from its operators' shapes.

    For one image: the figures of a file of fixed batch size are divided by it. An operator costs
    the same under every preset, so an int8 file counts what its float32 twin does.

    ```
    CONV_2D            out * kernel_h * kernel_w * channels_in / groups
    DEPTHWISE_CONV_2D  out * kernel_h * kernel_w
    FULLY_CONNECTED    out * inputs
    TRANSPOSE_CONV     in * kernel_h * kernel_w * channels_out
    CONV_3D            out * kernel_d * kernel_h * kernel_w * channels_in
    BATCH_MATMUL       out * inner size
    ```

    `out` and `in` are the numbers of values of the output and the input.

    Args:
        path: The file.

    Returns:
        `Operations`.

    Raises:
        ValueError: If the file is damaged.

    Example:

    >>> import keras, kd_keras
    >>> student = keras.Sequential([keras.Input((8, 8, 3)),
    ...                             keras.layers.Conv2D(16, 3),
    ...                             keras.layers.Flatten(),
    ...                             keras.layers.Dense(10)])
    >>> result = kd_keras.export.to_tflite(student, "student.tflite")
    >>> counted = kd_keras.export.count_operations("student.tflite")
    >>> counted.macs == 6 * 6 * 16 * 3 * 3 * 3 + 6 * 6 * 16 * 10
    True
    """
    model = open_plain(path)
    # A file of another tool may take a number, or nothing.
    batch, *_ = *(_shape(model, model.inputs[0]) if model.inputs else ()), 1
    macs = sum(
        _MACS[node.kind](
            [_shape(model, i) for i in node.inputs], [_shape(model, i) for i in node.outputs]
        )
        for node in model.nodes
        if node.kind in _MACS
    )
    return Operations(
        macs=macs // batch,
        parameters=sum(
            math.prod(_shape(model, index)) for index in model.constants if _is_weight(model, index)
        ),
        uncounted=tuple(sorted({node.kind for node in model.nodes if _is_opaque(node.kind)})),
    )


_Shape = tuple[int, ...]


def _kernel_on_output(inputs: list[_Shape], outputs: list[_Shape]) -> int:
    """Each output value is a sum over one row of the kernel (channels_out, ...)."""
    return math.prod(outputs[0]) * math.prod(inputs[1][1:])


def _depthwise(inputs: list[_Shape], outputs: list[_Shape]) -> int:
    return math.prod(outputs[0]) * math.prod(inputs[1][1:3])


def _transposed(inputs: list[_Shape], outputs: list[_Shape]) -> int:
    # Inputs: the output's shape, the kernel (channels_out, h, w, channels_in), the images.
    return math.prod(inputs[2]) * math.prod(inputs[1][:3])


def _three_dimensional(inputs: list[_Shape], outputs: list[_Shape]) -> int:
    # The kernel is (d, h, w, channels_in, channels_out).
    return math.prod(outputs[0]) * math.prod(inputs[1][:4])


def _matrix_product(inputs: list[_Shape], outputs: list[_Shape]) -> int:
    # (..., m, k) times (..., k, n), either of them perhaps stored transposed: the product of the
    # two matrices' sizes is m k k n.
    rows, columns = outputs[0][-2:]
    inner = math.isqrt(math.prod(inputs[0][-2:]) * math.prod(inputs[1][-2:]) // (rows * columns))
    return math.prod(outputs[0]) * inner


_MACS: dict[str, Callable[[list[_Shape], list[_Shape]], int]] = {
    "BATCH_MATMUL": _matrix_product,
    "CONV_2D": _kernel_on_output,
    "CONV_3D": _three_dimensional,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _kernel_on_output,
    "TRANSPOSE_CONV": _transposed,
}
_RECURRENT = ("LSTM", "RNN", "SVDF", "WHILE", "STABLEHLO")


def _is_opaque(kind: str) -> bool:
    # What is not upper case was named by whoever wrote the custom operator.
    return kind not in _MACS and (kind != kind.upper() or any(word in kind for word in _RECURRENT))


def _is_weight(model: PlainModel, index: int) -> bool:
    """Whether a constant is a weight: floating, or an integer with a scale; no shape or axis."""
    detail = model.details[index]
    floating = np.issubdtype(detail["dtype"], np.floating)
    return bool(floating or len(detail["quantization_parameters"]["scales"]))


def stored_weights(model: PlainModel) -> dict[str, int]:
    """Return how many weights a file holds in each dtype, the most first; biases are none.

    The converter leaves small kernels of a dynamic file in float32, whatever the preset says.
    """
    counts: Counter[str] = Counter()
    for index in model.constants:
        if len(_shape(model, index)) > 1 and _is_weight(model, index):
            dtype = np.dtype(model.details[index]["dtype"]).name
            counts[dtype] += math.prod(_shape(model, index))
    return dict(counts.most_common())


def _shape(model: PlainModel, index: int) -> _Shape:
    return tuple(map(int, model.details[index]["shape"])) if index >= 0 else ()
