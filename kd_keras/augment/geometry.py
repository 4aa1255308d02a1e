"""Where each pixel of a view comes from: geometric layers as affine maps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import keras_cv
import tensorflow as tf

from kd_keras.augment.draws import Draws, drawing_from, unfolded
from kd_keras.augment.pixelwise import keeps_positions

# Whole numbers up to here are exact in float32.
_EXACT = 2**24


class Move(NamedTuple):
    """One affine map of a batch of images.

    Attributes:
        matrix: `(batch, 6)` float32, a0 a1 a2 b0 b1 b2: the pixel (x, y) of a view shows the place
            (a0 x + a1 y + a2, b0 x + b1 y + b2) of its image. (0, 0) is the centre of the first
            pixel.
        fill_mode: What is beyond the border: "constant" (nothing), "reflect", "wrap", "nearest".
        size: Height and width of the view, `(2,)` int32.
    """

    matrix: tf.Tensor
    fill_mode: str
    size: tf.Tensor


def moves_of(layer: Any, images: tf.Tensor, draws: Draws) -> list[Move] | None:
    """Return what `layer` does to the places of images, or `None` if that is not known.

    Args:
        layer: What a policy may hold.
        images: What it is called on, `(batch, height, width, channels)`.
        draws: Where its random numbers come from, as before the call.
    """
    if layer is None or keeps_positions(layer):
        return []
    # Ours that derive from layers of keras-cv give the same views; a user's need not.
    if type(layer).__module__.split(".")[0] not in ("keras_cv", "kd_keras"):
        return None
    with drawing_from(draws):
        if hasattr(layer, "geometry"):
            moves: list[Move] | None = layer.geometry(images, draws)
            return moves
        known = next((_KNOWN[cls] for cls in type(layer).__mro__ if cls in _KNOWN), None)
        return None if known is None else known(layer, images, draws)


def places_in(images: tf.Tensor, moves: list[Move]) -> tf.Tensor:
    """Return which pixel each pixel of the views shows, the nearest one.

    Args:
        images: Before they were moved.
        moves: One after the other.

    Returns:
        `(batch, height, width)` int32: 0 for none, else 1 + its number in the image, row by row.
    """
    places = numbered(images)
    for move in moves:
        places = tf.raw_ops.ImageProjectiveTransformV3(
            images=places,
            transforms=tf.pad(move.matrix, [[0, 0], [0, 2]]),
            output_shape=move.size,
            fill_value=0.0,
            interpolation="NEAREST",
            fill_mode=move.fill_mode.upper(),
        )
    return tf.cast(places[..., 0], tf.int32)


def numbered(images: tf.Tensor) -> tf.Tensor:
    """Return images of one channel whose pixels are numbered from 1, row by row; floats."""
    static = images.shape[1:3]
    dtype = tf.float32 if (static.num_elements() or 0) < _EXACT else tf.float64
    count, height, width = tf.unstack(tf.shape(images)[:3])
    numbers = tf.reshape(tf.range(1, height * width + 1), [1, height, width, 1])
    return tf.tile(tf.cast(numbers, dtype), [count, 1, 1, 1])


def points_in_views(points: tf.Tensor, moves: list[Move]) -> tf.Tensor:
    """Return where points of the images, `(batch, points, 2)` of (x, y), are in the views."""
    for move in moves:
        a0, a1, a2, b0, b1, b2 = (part[:, None] for part in tf.unstack(move.matrix, axis=1))
        x, y = points[..., 0] - a2, points[..., 1] - b2
        whole = a0 * b1 - a1 * b0
        points = tf.stack([(b1 * x - a1 * y) / whole, (a0 * y - b0 * x) / whole], axis=-1)
    return points


def where_chosen(chosen: tf.Tensor, moves: list[Move] | None) -> list[Move] | None:
    """Return `moves` for the images that are `chosen`, `(batch,)` bool, and none for the others."""
    if moves is None:
        return None
    same = tf.constant([1.0, 0.0, 0.0, 0.0, 1.0, 0.0])
    return [
        move._replace(matrix=tf.where(chosen[:, None], move.matrix, same[None])) for move in moves
    ]


def crop(images: tf.Tensor, box: tf.Tensor, size: tf.Tensor) -> Move:
    """Return what `tf.image.crop_and_resize` does.

    Args:
        images: The images.
        box: `(batch, 4)` of y1, x1, y2, x2, where 0 is the first pixel's centre and 1 the last's.
        size: Of the view, `(2,)` int32.
    """
    last = tf.cast(tf.shape(images)[1:3], tf.float32) - 1.0
    y1, x1, y2, x2 = tf.unstack(tf.cast(box, tf.float32), axis=1)
    height, width = tf.unstack(tf.cast(size, tf.float32))
    a0, a2 = _axis(x1, x2, last[1], width)
    b1, b2 = _axis(y1, y2, last[0], height)
    # Nothing is taken from outside; what rounding puts there is the border.
    return Move(_matrix(a0, 0.0, a2, 0.0, b1, b2), "nearest", size)


def _axis(low: Any, high: Any, last: Any, size: Any) -> tuple[Any, Any]:
    scale = tf.math.divide_no_nan((high - low) * last, size - 1.0)
    return scale, tf.where(size > 1.0, low * last, 0.5 * (low + high) * last)


def _matrix(*rows: Any) -> tf.Tensor:
    full = next(row for row in rows if tf.is_tensor(row) and len(row.shape) == 1)
    return unfolded(tf.stack([row + tf.zeros_like(full) for row in rows], axis=1))


def _drawn(layer: Any, images: tf.Tensor) -> dict[str, Any]:
    drawn = layer.get_random_transformation_batch(tf.shape(images)[0], images=images)
    flat = {name: value for name, value in drawn.items() if value is not None}
    return {name: tf.cast(tf.reshape(value, [-1]), tf.float32) for name, value in flat.items()}


def _kept(layer: Any, images: tf.Tensor, *rows: Any) -> Move:
    """Return a move that keeps the size, with the border as the layer has it."""
    return Move(_matrix(*rows), layer.fill_mode, tf.shape(images)[1:3])


def _last(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    height, width = tf.unstack(tf.cast(tf.shape(images)[1:3], tf.float32))
    return height - 1.0, width - 1.0


def _flip(layer: Any, images: tf.Tensor, draws: Draws) -> list[Move]:
    drawn = _drawn(layer, images)
    bottom, right = _last(images)
    left_right = drawn["flip_horizontals"] > 1.0 - layer.rate
    up_down = drawn["flip_verticals"] > 1.0 - layer.rate
    matrix = _matrix(
        tf.where(left_right, -1.0, 1.0),
        0.0,
        tf.where(left_right, right, 0.0),
        0.0,
        tf.where(up_down, -1.0, 1.0),
        tf.where(up_down, bottom, 0.0),
    )
    return [Move(matrix, "nearest", tf.shape(images)[1:3])]


def _translation(layer: Any, images: tf.Tensor, draws: Draws) -> list[Move]:
    drawn = _drawn(layer, images)
    bottom, right = _last(images)
    x = -drawn["width_translations"] * (right + 1.0)
    y = -drawn["height_translations"] * (bottom + 1.0)
    return [_kept(layer, images, 1.0, 0.0, x, 0.0, 1.0, y)]


def _rotation(layer: Any, images: tf.Tensor, draws: Draws) -> list[Move]:
    angles = _drawn(layer, images)["angles"]
    bottom, right = _last(images)
    cos, sin = tf.cos(angles), tf.sin(angles)
    x = (right - (cos * right - sin * bottom)) / 2.0
    y = (bottom - (sin * right + cos * bottom)) / 2.0
    return [_kept(layer, images, cos, -sin, x, sin, cos, y)]


def _zoom(layer: Any, images: tf.Tensor, draws: Draws) -> list[Move]:
    drawn = _drawn(layer, images)
    bottom, right = _last(images)
    across, down = drawn["width_zooms"], drawn["height_zooms"]
    x, y = right / 2.0 * (1.0 - across), bottom / 2.0 * (1.0 - down)
    return [_kept(layer, images, across, 0.0, x, 0.0, down, y)]


def _shear(layer: Any, images: tf.Tensor, draws: Draws) -> list[Move]:
    drawn = _drawn(layer, images)
    moves = []
    # Two steps, as the layer takes them: each has a border of its own.
    if "shear_x" in drawn:
        moves.append(_kept(layer, images, 1.0, drawn["shear_x"], 0.0, 0.0, 1.0, 0.0))
    if "shear_y" in drawn:
        moves.append(_kept(layer, images, 1.0, 0.0, 0.0, drawn["shear_y"], 1.0, 0.0))
    return moves


def _crop(layer: Any, images: tf.Tensor, draws: Draws) -> list[Move]:
    # In the layer's own dtype, which decides between two pixels.
    drawn = {k: tf.cast(v, layer.compute_dtype) for k, v in _drawn(layer, images).items()}
    height, width = tf.unstack(tf.cast(tf.shape(images)[1:3], layer.compute_dtype))
    top, left = drawn["tops"] * (height - layer.height), drawn["lefts"] * (width - layer.width)
    bottom, right = (top + layer.height) / height, (left + layer.width) / width
    size = tf.constant([layer.height, layer.width], tf.int32)
    cropped = crop(images, tf.stack([top / height, left / width, bottom, right], axis=1), size)
    # Images that are too small are resized as a whole, by pixels and not by their centres.
    height, width = tf.unstack(tf.cast(tf.shape(images)[1:3], tf.float32))
    across, down = width / layer.width, height / layer.height
    here = tf.zeros_like(cropped.matrix[:, 0])
    resized = _matrix(across + here, 0.0, across / 2.0 - 0.5, 0.0, down, down / 2.0 - 0.5)
    fits = tf.logical_and(height >= layer.height, width >= layer.width)
    return [cropped._replace(matrix=tf.where(fits, cropped.matrix, resized))]


def _crop_and_resize(layer: Any, images: tf.Tensor, draws: Draws) -> list[Move]:
    draws_at = draws.one_by_one()

    def box(position: tf.Tensor) -> tf.Tensor:
        with drawing_from(draws_at(position)):
            return tf.stack(layer.get_random_transformation()[0])

    boxes = tf.map_fn(box, draws.rows.index, fn_output_signature=tf.TensorSpec([4], tf.float32))
    return [crop(images, boxes, tf.constant(layer.target_size, tf.int32))]


_KNOWN: dict[type, Callable[..., list[Move]]] = {
    keras_cv.layers.RandomFlip: _flip,
    keras_cv.layers.RandomTranslation: _translation,
    keras_cv.layers.RandomRotation: _rotation,
    keras_cv.layers.RandomZoom: _zoom,
    keras_cv.layers.RandomShear: _shear,
    keras_cv.layers.RandomCrop: _crop,
    keras_cv.layers.RandomCropAndResize: _crop_and_resize,
}
