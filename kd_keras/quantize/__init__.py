"""Quantisation-aware training: students that learn with the rounding of their int8 file."""

from kd_keras.quantize.layers import (
    FakeQuantize,
    QuantizedConv2D,
    QuantizedConv2DTranspose,
    QuantizedDense,
    QuantizedDepthwiseConv2D,
    QuantizedEmbedding,
    QuantizedSilu,
    RoundedKernels,
)
from kd_keras.quantize.quantization_aware import quantization_aware

__all__ = [
    "FakeQuantize",
    "QuantizedConv2D",
    "QuantizedConv2DTranspose",
    "QuantizedDense",
    "QuantizedDepthwiseConv2D",
    "QuantizedEmbedding",
    "QuantizedSilu",
    "RoundedKernels",
    "quantization_aware",
]
