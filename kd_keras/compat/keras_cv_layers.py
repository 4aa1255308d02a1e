"""Where layers of keras-cv keep their randomness, and how they go over the images of a batch.

keras-cv 0.9, keras_cv/src/layers/preprocessing/base_image_augmentation_layer.py: layers hold a
`tf.random.Generator` in `_random_generator`, and a `BaseImageAugmentationLayer` goes over the
images by its `_map_fn`. Neither can be set from outside.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def generator_of(layer: Any) -> Any:
    """Return the generator of a layer; None where it has none."""
    return getattr(layer, "_random_generator", None)


def replace_generator(layer: Any, make: Callable[[Any], Any]) -> None:
    """Put `make(generator)` in the place of a layer's `tf.random.Generator`, if it has one."""
    generator = generator_of(layer)
    if isinstance(generator, tf.random.Generator):
        layer._random_generator = make(generator)


def replace_map(layer: Any, kind: type, make: Callable[[Any, Any], Any]) -> None:
    """Put `make(layer, mapping)` in the place of how a layer maps, unless that is of `kind`."""
    if not isinstance(layer._map_fn, kind):
        layer._map_fn = make(layer, layer._map_fn)
