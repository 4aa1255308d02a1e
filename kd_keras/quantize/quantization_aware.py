"""From a trained student to one that trains as its int8 file will calculate."""

from __future__ import annotations

import warnings
from typing import Any

import keras

from kd_keras.arguments import check_integer, check_number, check_range
from kd_keras.quantize.calibration import calibrate
from kd_keras.quantize.graph import graph_of, kept_in_float
from kd_keras.quantize.rebuild import rebuild


def quantization_aware(
    student: keras.Model,
    representative_data: Any,
    *,
    momentum: float = 0.9,
    input_range: tuple[float, float] | None = (0.0, 255.0),
    examples: int = 500,
) -> keras.Model:
    """Return a copy of a trained student that calculates with the rounding of its int8 file.

    Fine-tune the copy for a few epochs, best as the student of a `kd_keras.Distiller`, and write it
    with `kd_keras.export.to_tflite(copy, path, "int8")`, which takes the trained ranges from it.
    Without batch normalisation it bears no large steps: `keras.optimizers.Adam(3e-4)` falling to
    zero, or SGD with momentum at 1e-3, are good starts; 1e-2 destroyed a small ResNet.

    - Batch normalisation is folded into the convolution or dense layer before it, with the
      statistics of training, which end here. One that follows no such layer becomes a depthwise
      convolution of 1x1.
    - Kernels are rounded at each call, with one scale for each output channel (one for the whole
      kernel of a dense layer), and biases are not: the file has them in 32 bits.
    - Layers without a rule stay in float32 between rounded tensors, and a warning names them. Of
      attention and `EinsumDense` the kernels are rounded, so that the file is as small.
    - Activations are rounded once for each operator of the file: a convolution, its bias and the
      ReLU behind it are one. Pooling, padding and reshaping keep the levels of their input.
    - The rounding's gradient is that of the clipping alone (straight-through estimator).

    The graph, the inputs' and outputs' names and the layers' names stay, so taps of feature losses
    stay too: under a layer's name is its output as the file has it. A layer `conv` whose output is
    rounded is `conv_float` in the copy, and `conv` the `FakeQuantize` behind it. The copy computes
    in float32 whatever the student's dtype policy. Regularisers of kernels that a batch
    normalisation was folded into are dropped: they would act on another scale.

    Args:
        student: A built functional or Sequential model; models nested in it are treated likewise.
            It stays as it is.
        representative_data: A few hundred unaugmented training inputs, which set the activations'
            first ranges: an array `(examples, ...)`, a structure of arrays where the student takes
            one, or a `tf.data.Dataset` of batches x or (x, y).
        momentum: In [0, 1): share of an activation's range that a training step keeps; the rest
            follows the extremes of the batch. Short fine-tuning wants it low.
        input_range: Lowest and highest raw value of the inputs, whose levels are spread over it:
            0..255 has a step of exactly 1. None takes it from the data.
        examples: How many examples to take at most, >= 1.

    Returns:
        A new functional `keras.Model`, not compiled. It is saved and loaded like any other.

    Raises:
        TypeError: If `student` is no Keras model, or the data are neither arrays nor a dataset.
        ValueError: If the student is subclassed, not built, or has layers that are quantised
            already or take channels first (the error lists them), or the data are empty or of
            another shape or range.

    Example:

    >>> import keras, kd_keras, numpy as np
    >>> images = np.random.default_rng(0).integers(0, 256, (100, 8, 8, 1), dtype="uint8")
    >>> student = kd_keras.models.resnet((8, 8, 1), 10, depth=8, width=4)
    >>> copy = kd_keras.quantize.quantization_aware(student, images)
    >>> result = kd_keras.export.to_tflite(copy, "student.tflite", "int8")
    >>> result.float_operators
    ()

    Reference: Jacob et al., "Quantization and Training of Neural Networks for Efficient
    Integer-Arithmetic-Only Inference", CVPR 2018, arXiv:1712.05877, for the rounding and its
    ranges; Krishnamoorthi, 2018, arXiv:1806.08342, for scales by channel; Nagel et al., "A White
    Paper on Neural Network Quantization", 2021, arXiv:2106.08295, section 5.2, for folding batch
    normalisation before fine-tuning; Mishra and Marr, "Apprentice: Using Knowledge Distillation
    Techniques To Improve Low-Precision Network Accuracy", ICLR 2018, arXiv:1711.05852, for the
    teacher that stays (its scheme C).
    """
    momentum = check_number("momentum", momentum, low=0, below=1)
    examples = check_integer("examples", examples, 1)
    if input_range is not None:
        input_range = check_range("input_range", input_range)
    graph = graph_of(student)
    in_float = kept_in_float(graph)
    model = rebuild(graph, momentum, input_range)
    calibrate(model, representative_data, examples, input_range)
    if in_float:
        warnings.warn(
            "These layers have no int8 rule. They stay in float32 between rounded inputs and "
            "outputs, unless TFLite has an int8 kernel for them; on an integer-only accelerator "
            f"float32 does not run: {', '.join(in_float)}",
            UserWarning,
            stacklevel=2,
        )
    return model
