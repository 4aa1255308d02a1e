"""Flips, turns and shifts by whole pixels: each pixel of a view is looked up, none is computed."""

from __future__ import annotations

from typing import Any

import keras
import keras_cv
import tensorflow as tf

from kd_keras.arguments import check_number
from kd_keras.augment.draws import Draws
from kd_keras.augment.geometry import Move
from kd_keras.augment.layers.batchwise import BatchwiseImageLayer


@keras.saving.register_keras_serializable(package="kd_keras")
class RandomFlip(keras_cv.layers.RandomFlip):
    """Flip images at random; the views are those of `keras_cv.layers.RandomFlip`, sooner.

    keras-cv flips every image and then chooses number by number, here each pixel is taken from
    where it belongs. Labels, segmentation masks and bounding boxes go the way of keras-cv.

    Args:
        mode: "horizontal", "vertical" or "horizontal_and_vertical".
        rate: Share of the images that are flipped, in `[0, 1]`, for each direction.
        **kwargs: Other arguments of `keras_cv.layers.RandomFlip`.

    Raises:
        ValueError: If an argument is out of range.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.augment import RandomFlip
    >>> RandomFlip(rate=1.0, seed=1)(tf.reshape([1.0, 2.0, 3.0], (1, 1, 3, 1)))[0, 0, :, 0].numpy()
    array([3., 2., 1.], dtype=float32)
    """

    def augment_images(self, images: tf.Tensor, transformations: Any, **kwargs: Any) -> tf.Tensor:
        if self.horizontal:
            images = self._flipped(images, transformations["flip_horizontals"], axis=2)
        if self.vertical:
            images = self._flipped(images, transformations["flip_verticals"], axis=1)
        return images

    def _flipped(self, images: tf.Tensor, drawn: tf.Tensor, axis: int) -> tf.Tensor:
        here = tf.range(tf.shape(images)[axis])[tf.newaxis]
        return _taken(images, tf.where(drawn > 1.0 - self.rate, here[:, ::-1], here), axis)


@keras.saving.register_keras_serializable(package="kd_keras")
class RandomShift(keras_cv.layers.RandomTranslation):
    """Shift images by whole pixels, the border reflected.

    The views are those of `keras_cv.layers.RandomTranslation` with `fill_mode="reflect"` and
    `interpolation="nearest"`, which transforms each pixel for itself; here rows are copied.
    Segmentation masks and bounding boxes go the way of keras-cv.

    Args:
        height_factor: Largest shift up or down as a part of the height, or `(low, high)`, in
            `[-1, 1]`; positive is down.
        width_factor: The same to the sides; positive is to the right.
        **kwargs: Other arguments of `keras_cv.layers.RandomTranslation`, but `fill_mode`,
            `fill_value` and `interpolation`.

    Raises:
        ValueError: If an argument is out of range.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.augment import RandomShift
    >>> shift = RandomShift(height_factor=0.0, width_factor=(0.25, 0.25))
    >>> shift(tf.reshape([1.0, 2.0, 3.0, 4.0], (1, 1, 4, 1)))[0, 0, :, 0].numpy()
    array([1., 1., 2., 3.], dtype=float32)
    """

    def __init__(self, height_factor: Any, width_factor: Any, **kwargs: Any):
        super().__init__(
            height_factor, width_factor, fill_mode="reflect", interpolation="nearest", **kwargs
        )

    def augment_images(self, images: tf.Tensor, transformations: Any, **kwargs: Any) -> tf.Tensor:
        for axis, name in ((1, "height_translations"), (2, "width_translations")):
            size = tf.shape(images)[axis]
            moved = tf.cast(transformations[name], tf.float32) * tf.cast(size, tf.float32)
            here = tf.cast(tf.range(size), tf.float32)[tf.newaxis]
            images = _taken(images, _nearest(here - moved, size), axis)
        return images

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        fixed = ("fill_mode", "fill_value", "interpolation")
        return {name: value for name, value in config.items() if name not in fixed}


@keras.saving.register_keras_serializable(package="kd_keras")
class RandomTranspose(BatchwiseImageLayer):
    """Swap the rows and columns of square images at random; others stay as they are.

    After `RandomFlip("horizontal_and_vertical")` all eight ways to lay a square are equally likely,
    quarter turns among them. Label maps, boxes and keypoints move alike in a `Policy`.

    Args:
        rate: Share of the images that are swapped, in `[0, 1]`.
        seed: Seed of the layer's own generator, used outside of a `Policy`.
        **kwargs: Arguments of `keras.layers.Layer`.

    Raises:
        ValueError: If `rate` is out of range.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.augment import RandomTranspose
    >>> image = tf.reshape([1.0, 2.0, 3.0, 4.0], (1, 2, 2, 1))
    >>> RandomTranspose(rate=1.0)(image)[0, :, :, 0].numpy()
    array([[1., 3.],
           [2., 4.]], dtype=float32)
    """

    saved_arguments = ("rate",)

    def __init__(self, rate: float = 0.5, seed: int | None = None, **kwargs: Any):
        super().__init__(seed=seed, **kwargs)
        self.rate = float(check_number("rate", rate, low=0, high=1))

    def draw(self, images: tf.Tensor) -> tf.Tensor:
        height, width = tf.unstack(tf.shape(images)[1:3])
        drawn = self._random_generator.uniform([tf.shape(images)[0]]) < self.rate
        return drawn & (height == width)

    def transform(self, images: tf.Tensor, drawn: tf.Tensor) -> tf.Tensor:
        height, width = images.shape[1:3]
        if None not in (height, width) and height != width:
            return images
        chosen = drawn[:, tf.newaxis, tf.newaxis, tf.newaxis]
        return tf.cond(
            tf.equal(*tf.unstack(tf.shape(images)[1:3])),
            lambda: tf.where(chosen, tf.transpose(images, (0, 2, 1, 3)), images),
            lambda: images,
        )

    def move_masks(self, masks: tf.Tensor, drawn: tf.Tensor) -> tf.Tensor:
        return self.transform(masks, drawn)

    def geometry(self, images: tf.Tensor, draws: Draws) -> list[Move]:
        """Return where pixels of the views come from."""
        same = tf.constant([1.0, 0.0, 0.0, 0.0, 1.0, 0.0])
        swapped = tf.constant([0.0, 1.0, 0.0, 1.0, 0.0, 0.0])
        matrix = tf.where(self.draw(images)[:, tf.newaxis], swapped, same)
        return [Move(matrix, "nearest", tf.shape(images)[1:3])]


def _nearest(place: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Return the pixel at a place at most `size` beyond a border that reflects."""
    last = tf.cast(size, tf.float32) - 1.0
    # Mirrored at the outer edge of the first and of the last pixel, half a pixel beyond centres.
    place = tf.where(place < 0.0, -1.0 - place, place)
    place = tf.where(place > last, 2.0 * last + 1.0 - place, place)
    return tf.cast(tf.floor(tf.clip_by_value(place, 0.0, last) + 0.5), tf.int32)


def _taken(images: tf.Tensor, index: tf.Tensor, axis: int) -> tf.Tensor:
    """Return images whose i-th row (`axis=1`) or column (`axis=2`) is the `index[:, i]`-th."""
    index = tf.broadcast_to(index, [tf.shape(images)[0], tf.shape(images)[axis]])
    taken = tf.gather(images, index, axis=axis, batch_dims=1)
    return tf.ensure_shape(taken, images.shape)
