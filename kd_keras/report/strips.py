"""Some test images side by side, and what each model gave their pixels: kept with a report."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import PIL.Image

from kd_keras.evaluate.predictor import as_predict

IMAGE, LABEL = "image", "label"
_SHOWN = 6


def drawn(models: Mapping[str, Any], test: Any) -> dict[str, str]:
    """Return strips of some test images and of what models give their pixels.

    Args:
        models: Keras models, or functions from images to logits, by name.
        test: A `tf.data.Dataset` of the test split's batches (images, label maps).
    """
    images, labels = (
        evenly(np.concatenate(parts)) for parts in zip(*test.as_numpy_iterator(), strict=True)
    )
    maps = {name: as_predict(model, name)(images).argmax(-1) for name, model in models.items()}
    return strips_of(images, labels, maps)


def evenly(examples: np.ndarray) -> np.ndarray:
    """Return as many of the examples as are shown, evenly spaced."""
    return examples[np.unique(np.linspace(0, len(examples) - 1, _SHOWN).astype(int))]


def strips_of(images: Any, labels: Any, maps: Mapping[str, Any]) -> dict[str, str]:
    """Return strips of images, of their labels and of what models gave them.

    Args:
        images: Uint8 `(images, height, width, 1 or 3)`.
        labels: Class ids `(images, height, width)`, 255 for none.
        maps: Class ids of the same shape, by the name of a model.

    Returns:
        PNG pictures in base 64, as `Report.strips` holds them.
    """
    pictures = {IMAGE: images, LABEL: labels, **maps}
    return {name: _as_text(np.concatenate(p, axis=1)) for name, p in pictures.items()}


def strip(text: str) -> np.ndarray:
    """Return a strip as an array, uint8 `(height, width)` or `(height, width, 3)`.

    Raises:
        ValueError: If the text is no picture in base 64.
    """
    try:
        return np.asarray(PIL.Image.open(io.BytesIO(base64.b64decode(text)), formats=("PNG",)))
    except (OSError, ValueError) as error:
        raise ValueError(f"A strip of a report is no PNG in base 64: {error}") from error


def _as_text(pixels: np.ndarray) -> str:
    if pixels.ndim == 3 and pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    file = io.BytesIO()
    PIL.Image.fromarray(pixels.astype("uint8")).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()
