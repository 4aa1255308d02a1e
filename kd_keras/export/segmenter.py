"""A `.tflite` file that tells the class of every pixel, over images of any size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kd_keras.export.classifier import Classifier


class Segmenter(Classifier):
    """A `.tflite` file from images to label maps, with what its metadata say of it.

    Arguments, attributes and errors are those of `Classifier`, but that the output has the shape
    `(batch, height, width, classes)` with the height and width of the input.

    Example:

    >>> import keras, kd_keras, numpy as np
    >>> student = kd_keras.models.unet((16, 16, 1), 2, width=2, depth=1, seed=1)
    >>> result = kd_keras.export.to_tflite(student, "student.tflite")
    >>> segmenter = kd_keras.export.Segmenter("student.tflite")
    >>> segmenter.class_map(np.zeros((40, 30, 1), "uint8")).shape
    (40, 30)
    """

    _rank = 4
    _form = "(batch, height, width, classes)"

    def _remedy(self, shapes: Mapping[str, tuple[int, ...]]) -> str:
        of_images = any(len(shape) == 2 for shape in shapes.values())
        return (
            ". For one class of an image: kd_keras.export.Classifier, or `kd-keras predict` "
            "without --output"
            if of_images
            else ""
        )

    def class_map(self, image: Any) -> np.ndarray:
        """Return the class of every pixel of an image of any size, which is not resized.

        The image is covered with tiles of the size of the file's input that overlap by half. Of
        the probabilities of a pixel from several tiles a mean is taken, in which one weighs the
        more the nearer the pixel is to its middle: at its border a network sees the least. Smaller
        images are mirrored.

        Args:
            image: Pixels 0..255 `(height, width, channels)`.

        Returns:
            Uint8 class ids `(height, width)`.

        Raises:
            ValueError: If the image has other channels than the file takes, or the output of the
                file another size than its input.
        """
        pixels = np.asarray(image)
        height, width, channels = self.image_shape
        if pixels.ndim != 3 or pixels.shape[-1] != channels or not pixels.size:
            raise ValueError(
                f"`image` must have the shape (height, width, {channels}). Received: shape "
                f"{pixels.shape}"
            )
        rows, columns = pixels.shape[:2]
        short = max(height - rows, 0), max(width - columns, 0)
        pixels = np.pad(pixels, ((0, short[0]), (0, short[1]), (0, 0)), "symmetric")
        weight = np.minimum.outer(_ramp(height), _ramp(width))[..., None]
        total = np.zeros((*pixels.shape[:2], len(self.labels)))
        for top in _starts(pixels.shape[0], height):
            for left in _starts(pixels.shape[1], width):
                here = slice(top, top + height), slice(left, left + width)
                found = self.probabilities(pixels[here][None])[0]
                if found.shape[:2] != (height, width):
                    raise ValueError(
                        f"{str(self.model.path)!r} must give a class for every pixel of its input, "
                        f"{height}x{width}. Received: an output of {found.shape[:2]}"
                    )
                total[here] += weight * found
        return total.argmax(axis=-1).astype("uint8")[:rows, :columns]


def _ramp(size: int) -> np.ndarray:
    """Return weights from the border of a tile to its middle and down again, all above 0."""
    return np.minimum(np.arange(1, size + 1), np.arange(size, 0, -1)).astype("float64")


def _starts(size: int, tile: int) -> list[int]:
    return sorted({min(start, size - tile) for start in range(0, size, max(tile // 2, 1))})
