"""Shifts of the camera: images rotated and scaled, to see how far a model's answers hold.

TensorFlow is imported when it is needed: a saved report is read and shown without it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, get_args

from kd_keras.arguments import check_number

if TYPE_CHECKING:
    import tensorflow as tf

Border = Literal["constant", "reflect"]


def rotate(images: Any, degrees: float, border: Border = "constant") -> tf.Tensor:
    """Return images turned about their centre, anticlockwise, and read bilinearly.

    ```
    output(p) = image(centre + R(degrees) (p - centre)),  R = [[cos, -sin], [sin, cos]] on (x, y)
    ```

    Args:
        images: `(batch, height, width, channels)`, of any real dtype.
        degrees: The angle; 0 leaves the images as they are.
        border: What stands outside of the image: "constant", zeros (black), or "reflect", its
            mirror image.

    Returns:
        Images of the same shape and dtype; whole numbers are rounded.

    Raises:
        ValueError: If an argument is out of its range.

    Example:

    >>> import numpy as np
    >>> from kd_keras.evaluate import rotate
    >>> rotate(np.array([[[[1], [2]], [[3], [4]]]], "uint8"), 90).numpy()[0, ..., 0]
    array([[2, 4],
           [1, 3]], dtype=uint8)

    Reference: Engstrom et al., "Exploring the Landscape of Spatial Robustness", ICML 2019,
    arXiv:1712.02779.
    """
    angle = math.radians(check_number("degrees", degrees))
    return _affine(images, math.cos(angle), math.sin(angle), border)


def scale(images: Any, factor: float, border: Border = "constant") -> tf.Tensor:
    """Return images made larger or smaller about their centre, in their own size.

    ```
    output(p) = image(centre + (p - centre) / factor)
    ```

    They are read bilinearly, without a filter against aliasing.

    Args:
        images: As for `rotate`.
        factor: Above 0; 2 shows the middle at twice the size, 0.5 the whole at half of it, and 1
            leaves the images as they are.
        border: As for `rotate`. Below 1, "reflect" shows mirrored copies around the image.

    Returns:
        Images of the same shape and dtype; whole numbers are rounded.

    Raises:
        ValueError: If an argument is out of its range.

    Example:

    >>> import numpy as np
    >>> from kd_keras.evaluate import scale
    >>> scale(np.array([[[[0], [8]]]], "float32"), 2.0).numpy().ravel()
    array([2., 6.], dtype=float32)

    Reference: Engstrom et al., "Exploring the Landscape of Spatial Robustness", ICML 2019,
    arXiv:1712.02779.
    """
    return _affine(images, 1 / check_number("factor", factor, above=0), 0.0, border)


def _affine(images: Any, along: float, across: float, border: Any) -> tf.Tensor:
    """Return images read at centre + [[along, -across], [across, along]] (p - centre)."""
    import keras
    import tensorflow as tf

    if border not in get_args(Border):
        raise ValueError(
            f"`border` must be one of {', '.join(get_args(Border))}. Received: border={border!r}"
        )
    images = tf.convert_to_tensor(images)
    if images.shape.rank != 4 or None in images.shape[1:3]:
        raise ValueError(
            "`images` must have the shape (batch, height, width, channels) with a known size. "
            f"Received: shape {images.shape}"
        )
    height, width = images.shape[1:3]
    x, y = (width - 1) / 2, (height - 1) / 2
    transform = [
        *(along, -across, x - along * x + across * y),
        *(across, along, y - across * x - along * y),
        *(0.0, 0.0),
    ]
    moved = keras.ops.image.affine_transform(
        tf.cast(images, tf.float32),
        tf.tile(tf.constant([transform], tf.float32), [tf.shape(images)[0], 1]),
        fill_mode=border,
        data_format="channels_last",
    )
    if images.dtype.is_integer:
        moved = tf.round(moved)
    return tf.cast(moved, images.dtype)
