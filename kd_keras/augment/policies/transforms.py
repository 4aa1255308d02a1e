"""Single changes by name, for policies that choose among them."""

from __future__ import annotations

from typing import Any

import keras_cv

from kd_keras.augment.global_generator import ensure_global_generator


def transforms(magnitude: float = 0.5) -> dict[str, Any]:
    """Return layers for images in 0..255, each drawing its own strength up to `magnitude`.

    Args:
        magnitude: Strength of the changes, in `(0, 1]`; at 1, turns reach 30 degrees, shifts and
            shears 0.3 of the size, and colours vanish.
    """
    ensure_global_generator()
    layers = keras_cv.layers
    same = {"dtype": "float32"}
    full = {"value_range": (0, 255), **same}
    return {
        "rotation": layers.RandomRotation(factor=magnitude * 30 / 360, **same),
        "shear_x": layers.RandomShear(x_factor=0.3 * magnitude, **same),
        "shear_y": layers.RandomShear(y_factor=0.3 * magnitude, **same),
        "translation_y": layers.RandomTranslation(
            height_factor=0.3 * magnitude, width_factor=0.0, **same
        ),
        "translation_x": layers.RandomTranslation(
            height_factor=0.0, width_factor=0.3 * magnitude, **same
        ),
        "brightness": layers.RandomBrightness(factor=0.5 * magnitude, **same),
        "contrast": layers.RandomContrast(factor=0.8 * magnitude, **full),
        "colour": layers.RandomColorDegeneration(factor=magnitude, **same),
        # Inverts what is brighter than a threshold, from 255 (nothing) down.
        "solarization": layers.Solarization(threshold_factor=(255 - 128 * magnitude, 255), **full),
        "sharpness": layers.RandomSharpness(factor=magnitude, **full),
    }
