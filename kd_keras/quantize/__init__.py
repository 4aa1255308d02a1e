"""Quantisation-aware training: students that learn with the rounding of their int8 file."""

from kd_keras.quantize.layers import (
    FakeQuantize,
    QuantizedConv2D,
    QuantizedDense,
    QuantizedDepthwiseConv2D,
)
from kd_keras.quantize.quantization_aware import quantization_aware

__all__ = [
    "FakeQuantize",
    "QuantizedConv2D",
    "QuantizedDense",
    "QuantizedDepthwiseConv2D",
    "quantization_aware",
]
