"""The layers of a quantisation-aware model: rounded kernels, and rounded activations."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from kd_keras.arguments import check_number, is_number
from kd_keras.quantize.rounding import (
    LEAST_WIDTH,
    round_in_range,
    round_per_channel,
    round_per_tensor,
)


@keras.saving.register_keras_serializable(package="kd_keras")
class FakeQuantize(keras.layers.Identity):
    """Hand the input on, rounded to the 256 levels of a range.

    In training the range follows the smallest and the largest value of each batch as a moving
    average; at inference it stands still.

    ```
    high <- momentum * high + (1 - momentum) * max(batch, 0),   low likewise with the minimum
    ```

    Args:
        low: Lowest value of the range, <= 0.
        high: Highest value of the range, >= 0 and above `low`.
        momentum: Share of the old range that a training step keeps, in [0, 1). None for a range
            that is known and never moves.
        **kwargs: Passed on to `keras.layers.Layer`.

    Raises:
        ValueError: If the range does not hold zero or is empty, or `momentum` is out of its range.

    Example:

    >>> import numpy as np
    >>> from kd_keras.quantize import FakeQuantize
    >>> FakeQuantize(0.0, 255.0, momentum=None)(np.array([0.4, 17.6, 300.0])).numpy().tolist()
    [0.0, 18.0, 255.0]

    Reference: Jacob et al., "Quantization and Training of Neural Networks for Efficient
    Integer-Arithmetic-Only Inference", CVPR 2018, arXiv:1712.05877, section 3.1.
    """

    # Off while the model is calibrated in float.
    rounds = True

    # Ranges follow and are not learnt: learnt by gradient they ended no closer to the teacher, and
    # they would depend on the optimizer's rate and decay. `benchmarks/README.md` has the figures.
    def __init__(
        self, low: float = -1.0, high: float = 1.0, *, momentum: float | None = 0.9, **kwargs: Any
    ):
        if not (is_number(low) and is_number(high) and low <= 0 <= high and low < high):
            raise ValueError(
                "The range of a FakeQuantize must hold zero, low <= 0 <= high with low < high: "
                "int8 stores zero exactly, which padding needs. "
                f"Received: low={low!r}, high={high!r}"
            )
        if momentum is not None:
            momentum = check_number(
                "momentum", momentum, low=0, below=1, remedy="None is a range that never moves."
            )
        super().__init__(**kwargs)
        self.momentum = momentum
        self._initial = (float(low), float(high))
        self._seen: tuple[float, float] | None = None

    def build(self, input_shape: Any) -> None:
        """Create the two ends of the range."""
        self.low, self.high = (
            self.add_weight(
                name=name,
                shape=(),
                initializer=keras.initializers.Constant(value),
                trainable=False,
                autocast=False,
            )
            for name, value in zip(("low", "high"), self._initial, strict=True)
        )

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Return the rounded inputs, float32 of the same shape."""
        inputs = tf.cast(inputs, tf.float32)
        if not self.rounds:
            self._observe(inputs)
            return inputs
        if training and self.momentum is not None:
            self._follow(inputs, 1.0 - self.momentum)
        return round_in_range(
            inputs, tf.convert_to_tensor(self.low), tf.convert_to_tensor(self.high)
        )

    def compute_output_spec(self, inputs: Any, training: bool | None = None) -> keras.KerasTensor:
        """Return the shape of the inputs with dtype float32."""
        return keras.KerasTensor(inputs.shape, "float32")

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor; the range itself is among the weights."""
        low, high = self._initial
        return {**super().get_config(), "low": low, "high": high, "momentum": self.momentum}

    def start_calibration(self) -> None:
        """Let everything through unrounded, and note the extremes, until `end_calibration`."""
        self.rounds, self._seen = False, None

    def end_calibration(self) -> None:
        """Take over the extremes that were seen, and round again."""
        self.rounds = True
        if self._seen is not None and self.momentum is not None:
            low, high = self._seen
            self.low.assign(min(low, 0.0))
            self.high.assign(max(high, 0.0, min(low, 0.0) + LEAST_WIDTH))

    @property
    def seen_width(self) -> float | None:
        """The width of the range that the last calibration saw, from or to 0 at least.

        None where there was none, and of a range that is known.
        """
        if self._seen is None or self.momentum is None:
            return None
        return max(self._seen[1], 0.0) - min(self._seen[0], 0.0)

    def _observe(self, inputs: Any) -> None:
        if not tf.executing_eagerly():
            return
        low, high = float(tf.reduce_min(inputs)), float(tf.reduce_max(inputs))
        if self._seen is not None:
            low, high = min(low, self._seen[0]), max(high, self._seen[1])
        self._seen = (low, high)

    def _follow(self, inputs: Any, share: float) -> None:
        batch_low = tf.minimum(tf.reduce_min(inputs), 0.0)
        batch_high = tf.maximum(tf.reduce_max(inputs), batch_low + LEAST_WIDTH)
        batch_high = tf.maximum(batch_high, 0.0)
        for variable, value in ((self.low, batch_low), (self.high, batch_high)):
            old = tf.convert_to_tensor(variable)
            # A batch of another magnitude moves the average and never the gradient.
            variable.assign(old + share * (tf.stop_gradient(value) - old))


def _finished(layer: Any, outputs: Any) -> Any:
    """Return outputs of a kernel with the layer's bias and activation."""
    if layer.bias is not None:
        outputs = keras.ops.add(outputs, layer.bias)
    return layer.activation(outputs)


@keras.saving.register_keras_serializable(package="kd_keras")
class QuantizedConv2D(keras.layers.Conv2D):
    """A `keras.layers.Conv2D` whose kernel is rounded to int8, per output channel, at each call.

    The weights themselves stay float and train; the range is the largest weight of the moment. The
    bias is not rounded: TFLite stores it in 32 bits.

    Example:

    >>> import numpy as np
    >>> from kd_keras.quantize.layers import QuantizedConv2D
    >>> QuantizedConv2D(4, 3)(np.ones((1, 8, 8, 3), "float32")).shape
    TensorShape([1, 6, 6, 4])

    Reference: Krishnamoorthi, 2018, arXiv:1806.08342, section 3.1.
    """

    rounds = True

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        """Convolve with the rounded kernel."""
        kernel = tf.convert_to_tensor(kernel)
        return super().convolution_op(inputs, round_per_channel(kernel) if self.rounds else kernel)


@keras.saving.register_keras_serializable(package="kd_keras")
class QuantizedDepthwiseConv2D(keras.layers.DepthwiseConv2D):
    """A `keras.layers.DepthwiseConv2D` whose kernel is rounded to int8 at each call.

    Its kernel has the shape (height, width, channels, multiplier); each pair of the last two is an
    output channel and has a scale of its own.

    Example:

    >>> import numpy as np
    >>> from kd_keras.quantize.layers import QuantizedDepthwiseConv2D
    >>> QuantizedDepthwiseConv2D(3)(np.ones((1, 8, 8, 3), "float32")).shape
    TensorShape([1, 6, 6, 3])

    Reference: Krishnamoorthi, 2018, arXiv:1806.08342, section 3.1.
    """

    rounds = True

    def call(self, inputs: Any) -> Any:
        """Convolve with the rounded kernel and add the bias."""
        kernel = tf.convert_to_tensor(self.kernel)
        if self.rounds:
            # The op takes the channels from the last axis alone.
            height, width, channels, multiplier = kernel.shape
            flat = tf.reshape(kernel, (height, width, channels * multiplier))
            kernel = tf.reshape(round_per_channel(flat), kernel.shape)
        outputs = keras.ops.depthwise_conv(
            inputs,
            kernel,
            strides=self.strides,
            padding=self.padding,
            dilation_rate=self.dilation_rate,
            data_format=self.data_format,
        )
        return _finished(self, outputs)


@keras.saving.register_keras_serializable(package="kd_keras")
class QuantizedDense(keras.layers.Dense):
    """A `keras.layers.Dense` whose kernel is rounded to int8 at each call, with one scale.

    One scale and not one a column: TFLite's converter cannot transpose a fake-quantised matrix
    whose columns have their own.

    Example:

    >>> import numpy as np
    >>> from kd_keras.quantize.layers import QuantizedDense
    >>> QuantizedDense(3)(np.ones((1, 8), "float32")).shape
    TensorShape([1, 3])

    Reference: Jacob et al., CVPR 2018, arXiv:1712.05877, section 3.
    """

    rounds = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Multiply by the rounded kernel and add the bias."""
        kernel = tf.convert_to_tensor(self.kernel)
        outputs = keras.ops.matmul(inputs, round_per_tensor(kernel) if self.rounds else kernel)
        return _finished(self, outputs)


@keras.saving.register_keras_serializable(package="kd_keras")
class QuantizedConv2DTranspose(keras.layers.Conv2DTranspose):
    """A `keras.layers.Conv2DTranspose` whose kernel is rounded to int8, with one scale.

    One scale and not one a channel: TFLite's converter cannot transpose a fake-quantised kernel
    whose channels have their own.

    Example:

    >>> import numpy as np
    >>> from kd_keras.quantize.layers import QuantizedConv2DTranspose
    >>> QuantizedConv2DTranspose(4, 2, strides=2)(np.ones((1, 8, 8, 3), "float32")).shape
    TensorShape([1, 16, 16, 4])

    Reference: Krishnamoorthi, 2018, arXiv:1806.08342, section 3.1.
    """

    rounds = True

    def call(self, inputs: Any) -> Any:
        """Convolve with the rounded kernel and add the bias."""
        kernel = tf.convert_to_tensor(self.kernel)
        outputs = keras.ops.conv_transpose(
            inputs,
            round_per_tensor(kernel) if self.rounds else kernel,
            strides=list(self.strides),
            padding=self.padding,
            output_padding=self.output_padding,
            dilation_rate=self.dilation_rate,
            data_format=self.data_format,
        )
        return _finished(self, outputs)


@keras.saving.register_keras_serializable(package="kd_keras")
class QuantizedEmbedding(keras.layers.Embedding):
    """A `keras.layers.Embedding` whose table is rounded to int8 at each call, with one scale.

    Example:

    >>> import numpy as np
    >>> from kd_keras.quantize.layers import QuantizedEmbedding
    >>> QuantizedEmbedding(10, 4)(np.array([[1, 2, 3]])).shape
    TensorShape([1, 3, 4])

    Reference: Jacob et al., CVPR 2018, arXiv:1712.05877, section 3.
    """

    rounds = True

    def call(self, inputs: Any) -> Any:
        """Return the rows of the rounded table."""
        table = tf.convert_to_tensor(self.embeddings)
        ids = keras.ops.cast(inputs, "int32")
        return keras.ops.take(round_per_tensor(table) if self.rounds else table, ids, axis=0)


@keras.saving.register_keras_serializable(package="kd_keras")
class RoundedKernels(keras.layers.Layer):
    """A layer whose arithmetic stays in float and whose kernels are rounded to int8 at each call.

    For layers of several matrix products, such as attention. The file keeps the kernels as int8.

    Args:
        layer: The layer; all of its variables called "kernel" are rounded, each with one scale.
        **kwargs: Passed on to `keras.layers.Layer`.

    Example:

    >>> import keras, numpy as np
    >>> from kd_keras.quantize.layers import RoundedKernels
    >>> attention = RoundedKernels(keras.layers.MultiHeadAttention(2, 4))
    >>> attention(np.ones((1, 5, 8), "float32"), np.ones((1, 5, 8), "float32")).shape
    TensorShape([1, 5, 8])

    Reference: Jacob et al., CVPR 2018, arXiv:1712.05877, section 3.
    """

    rounds = True

    def __init__(self, layer: keras.layers.Layer, **kwargs: Any):
        super().__init__(**kwargs)
        self.layer = layer
        self.supports_masking = layer.supports_masking

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Call the layer with its kernels rounded."""
        if not self.layer.built or not self.rounds:
            return self.layer(*args, **kwargs)
        rounded = [
            round_per_tensor(tf.convert_to_tensor(variable))
            if variable.name == "kernel"
            else tf.convert_to_tensor(variable)
            for variable in self.layer.trainable_variables
        ]
        others = self.layer.non_trainable_variables
        outputs, changed = self.layer.stateless_call(
            rounded, [tf.convert_to_tensor(variable) for variable in others], *args, **kwargs
        )
        for variable, value in zip(others, changed, strict=True):
            variable.assign(value)
        return outputs

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the layer itself gives."""
        return self.layer.compute_output_spec(*args, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {**super().get_config(), "layer": keras.saving.serialize_keras_object(self.layer)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> RoundedKernels:
        """Return the layer that a configuration describes."""
        layer = keras.saving.deserialize_keras_object(config["layer"])
        return cls(**{**config, "layer": layer})

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Do nothing: the layer inside was built from a configuration of its own."""
        self.built = True


@keras.saving.register_keras_serializable(package="kd_keras")
class QuantizedSilu(keras.layers.Layer):
    """Return `x * sigmoid(x)` with the sigmoid on the levels of TFLite's int8 kernel.

    ```
    x * round(256 * sigmoid(x)) / 256
    ```

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.quantize.layers import QuantizedSilu
    >>> QuantizedSilu()(tf.constant([0.0, 2.0])).numpy().tolist()
    [0.0, 1.7578125]
    """

    rounds = True

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        """Return the product."""
        gate = keras.ops.sigmoid(inputs)
        return inputs * (round_in_range(gate, 0.0, 255 / 256) if self.rounds else gate)

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        """Return the shape of the inputs with dtype float32."""
        return keras.KerasTensor(inputs.shape, "float32")


# What calculates without rounding while ranges are calibrated.
ROUNDING = (
    QuantizedConv2D,
    QuantizedConv2DTranspose,
    QuantizedDepthwiseConv2D,
    QuantizedDense,
    QuantizedEmbedding,
    QuantizedSilu,
    RoundedKernels,
)
