"""Weights as int8 under float arithmetic, which the TensorFlow Lite converter does not offer."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

from kd_keras.export.quiet import quiet_stderr


def weights_in_int8(path: Path) -> bytes:
    """Return a float32 file with the weights of its layers as int8, one scale a channel.

    The kernels turn them back into float32 when the file is loaded.

    Args:
        path: The float32 `.tflite` file.

    Raises:
        ModuleNotFoundError: If ai-edge-quantizer is not installed.
    """
    try:
        from ai_edge_quantizer import quantizer, recipe
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "quantization='weight_only' needs ai-edge-quantizer: "
            'pip install "kd-keras[weight-only]". '
            "Without it, quantization='dynamic' stores int8 weights too, and calculates with them."
        ) from error
    # It prints its own summary.
    with quiet_stderr(), contextlib.redirect_stdout(io.StringIO()):
        result = quantizer.Quantizer(str(path), recipe.weight_only_wi8_afp32()).quantize()
    return bytes(result.quantized_model)
