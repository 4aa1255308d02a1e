"""Endless batches of generated images, for a teacher to label."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from kd_keras.arguments import check_integer
from kd_keras.generator import CheckedGenerator


def generated(
    generator: keras.Model,
    batch_size: int = 128,
    *,
    latent: int | tuple[int, ...] | None = None,
    num_classes: int | None = None,
    generator_range: tuple[float, float] | None = None,
    value_range: tuple[float, float] = (0, 255),
    dtype: str = "uint8",
    seed: int = 0,
    first_step: int = 0,
) -> tf.data.Dataset:
    """Return an endless dataset of batches that a generator makes, unlabelled unless conditional.

    Batch k is a function of (seed, first_step + k): latents from N(0, 1) and, for a conditional
    generator, classes drawn uniformly. The generator is called with `training=False`, and is never
    trained. A `Distiller` with `student_loss_weight=0` trains on the teacher's answers alone:
    `fit(generated(...), steps_per_epoch=...)`.

    Args:
        generator: A `keras.Model` from latents `(batch, ...)`, and class ids `(batch,)` where it
            is conditional, to images `(batch, height, width, channels)`.
        batch_size: Images in a batch, at least 1.
        latent: Length of a latent vector, or its shape; read from a functional model if `None`.
        num_classes: Classes of a conditional generator; `None` for one that takes latents alone.
        generator_range: `(low, high)` of the generator's images; read from a tanh or sigmoid at
            its end if `None`.
        value_range: `(low, high)` of the images in the dataset.
        dtype: Their dtype; whole numbers are rounded. "uint8" is what `load` gives.
        seed: Any integer below 2^31 in size.
        first_step: Where to begin, at least 0: what a run that goes on has seen already.

    Returns:
        Without `num_classes` a dataset of images `(batch, height, width, channels)`; with it, of
        pairs (images, int64 class ids `(batch,)`). The class is what the generator was asked for,
        which need not be what it shows.

    Raises:
        TypeError: If `generator` is no Keras model.
        ValueError: If an argument is out of range or contradicts the generator.

    Example:

    >>> import keras, kd_keras
    >>> generator = keras.Sequential([keras.Input((4,)), keras.layers.Dense(64),
    ...                               keras.layers.Reshape((8, 8, 1)),
    ...                               keras.layers.Activation("sigmoid")])
    >>> images = next(iter(kd_keras.data.generated(generator, batch_size=16)))
    >>> images.shape, images.dtype
    (TensorShape([16, 8, 8, 1]), tf.uint8)
    """
    for name, value, least in (
        ("batch_size", batch_size, 1),
        ("first_step", first_step, 0),
        ("seed", seed, 1 - 2**31),
    ):
        check_integer(name, value, least, 2**31 - 1)
    kind = tf.as_dtype(dtype)
    if not (kind.is_floating or kind.is_integer):
        raise ValueError(f"`dtype` must be one of numbers, such as 'uint8'. Received: {dtype!r}.")
    source = CheckedGenerator(generator, latent, num_classes, generator_range, value_range)

    @tf.function
    def batch(step: Any) -> Any:
        key = tf.stack([tf.constant(seed, tf.int64), step])
        latents = tf.random.stateless_normal((batch_size, *source.latent_shape), key)
        ids = None
        if source.num_classes is not None:
            # Of the same key they would be the same bits as the latents.
            other = tf.random.experimental.stateless_fold_in(key, 1)
            ids = tf.random.stateless_uniform(
                (batch_size,), other, 0, source.num_classes, dtype=tf.int64
            )
        images = source.images(latents, ids)
        if kind.is_integer:
            images = tf.round(images)
        images = tf.saturate_cast(images, kind)
        return images if ids is None else (images, ids)

    # Python asks for each batch, so that the model runs where its weights are: a function that
    # tf.data runs itself stays on the CPU and cannot read the weights of a GPU.
    def batches() -> Iterator[Any]:
        for step in itertools.count(first_step):
            yield batch(tf.constant(step, tf.int64))

    shape = (batch_size, *source.image_shape)
    spec: Any = tf.TensorSpec(shape, kind)
    if source.num_classes is not None:
        spec = (spec, tf.TensorSpec((batch_size,), tf.int64))
    endless = tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
    dataset = tf.data.Dataset.from_generator(batches, output_signature=spec)
    return dataset.apply(endless).prefetch(2)
