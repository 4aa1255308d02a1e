"""Any Keras model that makes images, checked and called alike by whoever takes images from one.

Below every room, as `kd_keras.augment` and `kd_keras.data` both use it.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kd_keras.arguments import check_integer, check_range, is_integer
from kd_keras.compat.structure import producer

_PROBES = 4
# Room for float arithmetic at the ends of the range, as a part of its width.
_TOLERANCE = 1e-3
_RANGES = {"tanh": (-1.0, 1.0), "sigmoid": (0.0, 1.0)}


class CheckedGenerator:
    """Images of a range of one's own out of a generator, which is never trained.

    The model is tried at once, so that one that does not fit is refused before any training.

    Args:
        model: A `keras.Model` from latent vectors `(batch, ...)`, and class ids `(batch,)` or
            `(batch, 1)` where it is conditional, to images `(batch, height, width, channels)`.
        latent: Shape of one latent, or its length. `None` reads it from a functional or
            Sequential model.
        num_classes: Classes of a conditional generator; `None` for one that takes latents alone.
        generator_range: `(low, high)` of the model's images. `None` reads it from a last layer
            with activation tanh, (-1, 1), or sigmoid, (0, 1).
        value_range: `(low, high)` of the images that are wanted.

    Raises:
        TypeError: If `model` is no Keras model or layer.
        ValueError: If an argument contradicts the model, or is needed and not given.
    """

    def __init__(
        self,
        model: Any,
        latent: int | tuple[int, ...] | None = None,
        num_classes: int | None = None,
        generator_range: tuple[float, float] | None = None,
        value_range: tuple[float, float] = (0, 255),
    ):
        if not isinstance(model, keras.layers.Layer):
            raise TypeError(
                "`generator` must be a keras.Model from latents to images. Received: "
                f"{model!r} of type {type(model).__name__}."
            )
        inputs = getattr(model, "inputs", None) or []
        self.model = model
        self.num_classes = _checked_classes(num_classes, inputs)
        self.latent_shape = _checked_latent(latent, inputs)
        self.generator_range = (
            _range_of_last_activation(model)
            if generator_range is None
            else check_range("generator_range", generator_range)
        )
        self.value_range = check_range("value_range", value_range)
        self._id_type = tf.as_dtype(inputs[1].dtype) if len(inputs) == 2 else tf.int32
        self._id_column = len(inputs) == 2 and len(inputs[1].shape) == 2
        self.image_shape = self._probe()

    def images(self, latents: tf.Tensor, class_ids: tf.Tensor | None) -> tf.Tensor:
        """Return images in `value_range`, float32.

        Args:
            latents: `(batch, *latent_shape)`.
            class_ids: `(batch,)` whole numbers; not looked at without `num_classes`.
        """
        low, high = self.generator_range
        least, most = self.value_range
        values = (self._call(latents, class_ids) - low) * ((most - least) / (high - low)) + least
        return tf.clip_by_value(values, float(least), float(most))

    def _call(self, latents: tf.Tensor, class_ids: tf.Tensor | None) -> tf.Tensor:
        arguments: Any = latents
        if self.num_classes is not None:
            ids = tf.cast(class_ids, self._id_type)
            arguments = [latents, ids[:, None] if self._id_column else ids]
        return tf.cast(self.model(arguments, training=False), tf.float32)

    def _probe(self) -> tuple[int, int, int]:
        with tf.init_scope():
            latents = tf.random.stateless_normal((_PROBES, *self.latent_shape), seed=(0, 0))
            ids = None if self.num_classes is None else tf.range(_PROBES) % self.num_classes
            try:
                outputs, again = self._call(latents, ids), self._call(latents, ids)
            except Exception as error:  # whatever a model raises on what it cannot take
                takes = f"latents of shape {tuple(latents.shape)}"
                takes += "" if ids is None else f" and class ids of shape {tuple(ids.shape)}"
                raise ValueError(
                    f"`generator` {self.model.name!r} cannot be called on {takes}: {error} Check "
                    f"`latent` and `num_classes`. Received: latent={self.latent_shape}, "
                    f"num_classes={self.num_classes}."
                ) from error
        images = outputs.numpy()
        if images.ndim != 4 or len(images) != _PROBES:
            raise ValueError(
                "`generator` must return images of shape (batch, height, width, channels). "
                f"Received: shape {images.shape} for {_PROBES} latents."
            )
        if not np.array_equal(images, again.numpy()):
            raise ValueError(
                f"`generator` {self.model.name!r} draws random numbers of its own: two calls on "
                "the same latents differ (or hold NaN), so its images could not be repeated. Let "
                "it take them as latents."
            )
        low, high = self.generator_range
        slack = _TOLERANCE * (high - low)
        if not (images.min() >= low - slack and images.max() <= high + slack):
            raise ValueError(
                f"`generator` {self.model.name!r} makes images outside of generator_range="
                f"{self.generator_range}. Received: images from {images.min():g} to "
                f"{images.max():g}. Pass their true `generator_range`."
            )
        return images.shape[1:]


def _checked_latent(latent: Any, inputs: list[Any]) -> tuple[int, ...]:
    own = tuple(inputs[0].shape[1:]) if inputs else None
    if latent is None:
        if own is None or None in own:
            raise ValueError(
                "`latent` must be given, as the generator's inputs do not tell their shape. "
                f"Received: latent=None, inputs={inputs!r}. Pass the length of a latent vector."
            )
        return own
    shape = (latent,) if is_integer(latent) else latent
    is_shape = isinstance(shape, tuple) and all(is_integer(size) and size > 0 for size in shape)
    fits = own is None or (
        is_shape
        and len(own) == len(shape)
        and all(mine in (None, size) for mine, size in zip(own, shape, strict=True))
    )
    if not is_shape or not fits:
        raise ValueError(
            "`latent` must be the length of a latent vector, or its shape as a tuple"
            + ("" if own is None else f"; this generator takes {own}")
            + f". Received: latent={latent!r}."
        )
    return tuple(map(int, shape))


def _checked_classes(num_classes: Any, inputs: list[Any]) -> int | None:
    if num_classes is not None:
        num_classes = check_integer(
            "num_classes", num_classes, 2, remedy="None is a generator without classes."
        )
    expected = 1 if num_classes is None else 2
    if inputs and len(inputs) != expected:
        remedy = (
            "Pass `num_classes`, so that classes can be drawn."
            if len(inputs) == 2
            else "Leave `num_classes` out."
            if len(inputs) == 1
            else "Wrap it into a model of latents, and class ids where it is conditional."
        )
        raise ValueError(
            f"`generator` must take latents{' and class ids' if num_classes else ' alone'}, as "
            f"num_classes={num_classes} says. Received: a model of {len(inputs)} inputs. {remedy}"
        )
    if len(inputs) == 2 and tuple(inputs[1].shape[1:]) not in ((), (1,)):
        raise ValueError(
            "`generator` must take class ids of shape (batch,) or (batch, 1) as its second input. "
            f"Received: a second input of shape {tuple(inputs[1].shape)}. Wrap it into a model "
            "that encodes ids itself, as keras.layers.Embedding or CategoryEncoding do."
        )
    return num_classes


def _range_of_last_activation(model: Any) -> tuple[float, float]:
    operation = producer((getattr(model, "outputs", None) or [None])[0])
    if isinstance(operation, keras.Model):
        return _range_of_last_activation(operation)
    activation = getattr(operation, "activation", None)
    # keras.ops.tanh(x) in a functional model is an operation of that name.
    name = getattr(activation, "__name__", type(operation).__name__.lower())
    if name not in _RANGES:
        raise ValueError(
            "`generator_range` must be given: the generator does not end in a tanh or a sigmoid, "
            "which would tell. Received: generator_range=None. Pass (low, high) of its images."
        )
    return _RANGES[name]
