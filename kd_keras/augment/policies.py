"""The named policies: one builder function each, and a way to find them by name."""

from __future__ import annotations

import difflib
from typing import Any

import keras_cv

from kd_keras.arguments import check_number
from kd_keras.augment.global_generator import ensure_global_generator
from kd_keras.augment.layers import (
    AugMix,
    CutMix,
    Equalize,
    FMix,
    GaussianBlur,
    GaussianNoise,
    GridMask,
    MixUp,
    Posterize,
    RandomFlip,
    RandomResizedCrop,
    RandomShift,
    RandomSubset,
    RandomTranspose,
    SaltAndPepper,
)
from kd_keras.augment.policy import Policy

# Of images, that layers were made for.
_BYTES, _UNIT = (0, 255), (0, 1)


def none(seed: int = 0, value_range: tuple[float, float] = (0, 255)) -> Policy:
    """Return the identity, the control of every comparison of policies."""
    return Policy([], seed, value_range, "none")


def standard(seed: int = 0, value_range: tuple[float, float] = (0, 255)) -> Policy:
    """Return left-right flips and shifts by whole pixels, up to an eighth of the size.

    On 32x32 images that is the CIFAR recipe of padding by 4 and cropping at random (He et al.,
    arXiv:1512.03385), with the border reflected.

    Args:
        seed: Any integer.
        value_range: `(low, high)` of the images.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.augment import standard
    >>> standard(seed=1)(tf.zeros((2, 32, 32, 3), tf.uint8), step=0).dtype
    tf.uint8
    """
    return Policy(standard_layers(), seed, value_range, "standard")


def standard_layers() -> list[Any]:
    """Return new layers of the standard policy, for policies that build on it."""
    ensure_global_generator()
    return [
        RandomFlip("horizontal", dtype="float32"),
        # Whole pixels: a bilinear shift by half a pixel would blur.
        RandomShift(height_factor=0.125, width_factor=0.125, dtype="float32"),
    ]


_LARGEST_ROTATION = 10 / 360


def digits(seed: int = 0, value_range: tuple[float, float] = (0, 255)) -> Policy:
    """Return small shifts, turns, and changes of size, and light noise.

    No flip and no turn beyond 10 degrees: a mirrored 2 is no digit, and a 6 upside down is a 9.
    What is shifted in is the low end of the range, the background.

    Args:
        seed: Any integer.
        value_range: `(low, high)` of the images.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.augment import digits
    >>> digits(seed=1)(tf.zeros((2, 8, 8, 1)), step=0).shape
    TensorShape([2, 8, 8, 1])
    """
    ensure_global_generator()
    layers = keras_cv.layers
    background = {"fill_mode": "constant", "fill_value": 0.0, "dtype": "float32"}
    changes = [
        # In keras-cv a turn is given as a part of 2 pi.
        layers.RandomRotation(factor=_LARGEST_ROTATION, **background),
        layers.RandomZoom(height_factor=(-0.1, 0.1), width_factor=(-0.1, 0.1), **background),
        layers.RandomTranslation(height_factor=0.1, width_factor=0.1, **background),
        GaussianNoise(stddev=(0.0, 0.03), dtype="float32"),
    ]
    return Policy(changes, seed, value_range, "digits", _BYTES)


def geometric(seed: int = 0, value_range: tuple[float, float] = (0, 255)) -> Policy:
    """Return flips, turns, changes of scale, shifts, and crops that are resized.

    Args:
        seed: Any integer.
        value_range: `(low, high)` of the images.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.augment import geometric
    >>> geometric(seed=1)(tf.zeros((2, 32, 32, 3), tf.uint8), step=0).shape
    TensorShape([2, 32, 32, 3])
    """
    ensure_global_generator()
    layers = keras_cv.layers
    changes = [
        RandomFlip("horizontal", dtype="float32"),
        # In keras-cv a turn is given as a part of 2 pi: 15 degrees at most.
        layers.RandomRotation(factor=15 / 360, fill_mode="reflect", dtype="float32"),
        layers.RandomZoom(height_factor=(-0.1, 0.1), width_factor=(-0.1, 0.1), dtype="float32"),
        layers.RandomTranslation(height_factor=0.1, width_factor=0.1, dtype="float32"),
        RandomResizedCrop(area=(0.7, 1.0), dtype="float32"),
    ]
    return Policy(changes, seed, value_range, "geometric")


def turns(seed: int = 0, value_range: tuple[float, float] = (0, 255)) -> Policy:
    """Return flips, quarter turns and shifts by whole pixels, and changes of light.

    For images that have no up, such as those of microscopes, and best with a label for every pixel:
    no pixel is computed from others, so that none comes to
    lie between two labels. Quarter turns are of square images; others are flipped and shifted.

    Args:
        seed: Any integer.
        value_range: `(low, high)` of the images.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.augment import turns
    >>> turns(seed=1)(tf.zeros((2, 32, 32, 1), tf.uint8), step=0).shape
    TensorShape([2, 32, 32, 1])
    """
    ensure_global_generator()
    layers = keras_cv.layers
    changes = [
        RandomFlip("horizontal_and_vertical", dtype="float32"),
        RandomTranspose(dtype="float32"),
        RandomShift(height_factor=0.25, width_factor=0.25, dtype="float32"),
        layers.RandomBrightness(factor=0.1, value_range=(0, 1), dtype="float32"),
        layers.RandomContrast(value_range=(0, 1), factor=0.2, dtype="float32"),
    ]
    return Policy(changes, seed, value_range, "turns", _UNIT)


def colour(seed: int = 0, value_range: tuple[float, float] = (0, 255)) -> Policy:
    """Return changes of brightness, contrast, saturation and hue.

    Grey images have brightness and contrast alone; saturation and hue leave them as they are.

    Args:
        seed: Any integer.
        value_range: `(low, high)` of the images.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.augment import colour
    >>> colour(seed=1)(tf.zeros((2, 32, 32, 3), tf.uint8), step=0).shape
    TensorShape([2, 32, 32, 3])
    """
    ensure_global_generator()
    layers = keras_cv.layers
    changes = [
        layers.RandomBrightness(factor=0.2, value_range=(0, 1), dtype="float32"),
        layers.RandomContrast(value_range=(0, 1), factor=0.3, dtype="float32"),
        # 0.5 leaves the saturation; s / (1 - s) multiplies it: from 0.67 to 1.5.
        layers.RandomSaturation(factor=(0.4, 0.6), dtype="float32"),
        # A part of half the circle: 9 degrees at most.
        layers.RandomHue(factor=0.05, value_range=(0, 1), dtype="float32"),
    ]
    return Policy(changes, seed, value_range, "colour", _UNIT)


def noise(seed: int = 0, value_range: tuple[float, float] = (0, 255)) -> Policy:
    """Return Gaussian and salt-and-pepper noise of a strength drawn for each image.

    Args:
        seed: Any integer.
        value_range: `(low, high)` of the images.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.augment import noise
    >>> noise(seed=1)(tf.zeros((2, 32, 32, 3), tf.uint8), step=0).shape
    TensorShape([2, 32, 32, 3])
    """
    changes = [
        GaussianNoise(stddev=(0.0, 0.08), dtype="float32"),
        SaltAndPepper(amount=(0.0, 0.03), dtype="float32"),
    ]
    return Policy(changes, seed, value_range, "noise", _BYTES)


def blur(seed: int = 0, value_range: tuple[float, float] = (0, 255), sigma: float = 1.0) -> Policy:
    """Return the standard policy followed by a Gaussian blur of a width drawn for each image.

    Args:
        seed: Any integer.
        value_range: `(low, high)` of the images.
        sigma: Largest standard deviation of the Gaussian, in pixels, >= 0.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.augment import blur
    >>> blur(seed=1)(tf.zeros((2, 32, 32, 3), tf.uint8), step=0).shape
    TensorShape([2, 32, 32, 3])
    """
    changes = [*standard_layers(), GaussianBlur((0.0, sigma), dtype="float32")]
    return Policy(changes, seed, value_range, "blur", _BYTES)


_GREY = 127.5


def cutout(seed: int = 0, value_range: tuple[float, float] = (0, 255), side: float = 0.5) -> Policy:
    """Return the standard policy followed by one grey rectangle, centred anywhere, in each image.

    DeVries and Taylor, "Improved Regularization of Convolutional Neural Networks with Cutout",
    arXiv:1708.04552; they hide 16 x 16 of 32 x 32 pixels of CIFAR-10.

    Args:
        seed: Any integer.
        value_range: `(low, high)` of the images.
        side: Sides of the rectangle as a part of those of the image, in `[0, 1]`. What falls
            outside of the image is lost.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.augment import cutout
    >>> cutout(seed=1)(tf.zeros((2, 32, 32, 3), tf.uint8), step=0).shape
    TensorShape([2, 32, 32, 3])
    """
    check_number("side", side, low=0, high=1)
    ensure_global_generator()
    rectangle = keras_cv.layers.RandomCutout(
        (side, side), (side, side), fill_value=_GREY, dtype="float32"
    )
    changes = [*standard_layers(), rectangle]
    return Policy(changes, seed, value_range, "cutout", _BYTES)


def gridmask(
    seed: int = 0, value_range: tuple[float, float] = (0, 255), ratio: float = 0.6
) -> Policy:
    """Return the standard policy followed by `GridMask` in grey.

    Args:
        seed: Any integer.
        value_range: `(low, high)` of the images.
        ratio: See `GridMask`.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.augment import gridmask
    >>> gridmask(seed=1)(tf.zeros((2, 32, 32, 3), tf.uint8), step=0).shape
    TensorShape([2, 32, 32, 3])
    """
    changes = [*standard_layers(), GridMask(ratio=ratio, dtype="float32")]
    return Policy(changes, seed, value_range, "gridmask", _BYTES)


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


def strong(
    seed: int = 0,
    value_range: tuple[float, float] = (0, 255),
    count: int = 2,
    magnitude: float = 0.5,
) -> Policy:
    """Return the standard policy followed by `count` of ten changes for each image.

    In the manner of RandAugment (Cubuk et al., arXiv:1909.13719): one magnitude for all changes.
    Each image draws its own strength from 0 up to that magnitude, or its negative.

    Args:
        seed: Any integer.
        value_range: `(low, high)` of the images.
        count: Changes for each image, from 0 to 10.
        magnitude: Strength of the changes, in `[0, 1]`; at 1, turns reach 30 degrees, shifts and
            shears 0.3 of the size, and colours vanish.

    Raises:
        ValueError: If `count` or `magnitude` is out of range.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.augment import strong
    >>> strong(seed=1)(tf.zeros((2, 32, 32, 3), tf.uint8), step=0).shape
    TensorShape([2, 32, 32, 3])
    """
    check_number(
        "magnitude", magnitude, above=0, high=1, remedy="For no change at all use count=0."
    )
    changes = [*standard_layers(), RandomSubset(transforms(float(magnitude)).values(), count=count)]
    return Policy(changes, seed, value_range, "strong", _BYTES)


def augmix(
    seed: int = 0,
    value_range: tuple[float, float] = (0, 255),
    width: int = 3,
    magnitude: float = 0.3,
) -> Policy:
    """Return the standard policy followed by `AugMix` of nine changes.

    The changes are those of the paper (Hendrycks et al., arXiv:1912.02781): none is among the
    corruptions of CIFAR-10-C, which stay unseen for a test of robustness.

    Args:
        seed: Any integer.
        value_range: `(low, high)` of the images.
        width: Chains for each image, at least 1.
        magnitude: Strength of the changes, in `(0, 1]`; at 1, turns reach 30 degrees, shifts and
            shears 0.3 of the size, and 4 bits of a colour remain.

    Raises:
        ValueError: If `width` or `magnitude` is out of range.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.augment import augmix
    >>> augmix(seed=1)(tf.zeros((2, 32, 32, 3), tf.uint8), step=0).shape
    TensorShape([2, 32, 32, 3])
    """
    remedy = "For no change at all use kd_keras.augment.standard."
    check_number("magnitude", magnitude, above=0, high=1, remedy=remedy)
    changes = [*standard_layers(), AugMix(_changes(float(magnitude)), width=width)]
    return Policy(changes, seed, value_range, "augmix", _BYTES)


def _changes(magnitude: float) -> list[Any]:
    ensure_global_generator()
    layers = keras_cv.layers
    same: dict[str, Any] = {"dtype": "float32"}
    full: dict[str, Any] = {"value_range": (0, 255), **same}
    return [
        layers.AutoContrast(**full),
        Equalize(rate=1.0, **full),
        Posterize(bits=(8 - max(1, round(4 * magnitude)), 7), **full),
        layers.RandomRotation(factor=magnitude * 30 / 360, **same),
        # Inverts what is brighter than a threshold, from 255 (nothing) down.
        layers.Solarization(threshold_factor=(255 * (1 - magnitude), 255), **full),
        layers.RandomShear(x_factor=0.3 * magnitude, **same),
        layers.RandomShear(y_factor=0.3 * magnitude, **same),
        layers.RandomTranslation(height_factor=0.3 * magnitude, width_factor=0.0, **same),
        layers.RandomTranslation(height_factor=0.0, width_factor=0.3 * magnitude, **same),
    ]


def mixup(seed: int = 0, value_range: tuple[float, float] = (0, 255), alpha: float = 0.2) -> Policy:
    """Return the standard policy followed by `MixUp`.

    Args:
        seed: Any integer.
        value_range: `(low, high)` of the images.
        alpha: See `MixUp`.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.augment import mixup
    >>> batch = {"images": tf.zeros((4, 32, 32, 3), tf.uint8), "labels": tf.range(4)}
    >>> sorted(mixup(seed=1)(batch, step=0))
    ['images', 'labels', 'second_labels', 'share']
    """
    return Policy([*standard_layers(), MixUp(alpha)], seed, value_range, "mixup")


def cutmix(
    seed: int = 0, value_range: tuple[float, float] = (0, 255), alpha: float = 1.0
) -> Policy:
    """Return the standard policy followed by `CutMix`.

    Args:
        seed: Any integer.
        value_range: `(low, high)` of the images.
        alpha: See `CutMix`.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.augment import cutmix
    >>> batch = {"images": tf.zeros((4, 32, 32, 3), tf.uint8), "labels": tf.range(4)}
    >>> cutmix(seed=1)(batch, step=0)["images"].dtype
    tf.uint8
    """
    return Policy([*standard_layers(), CutMix(alpha)], seed, value_range, "cutmix")


def fmix(seed: int = 0, value_range: tuple[float, float] = (0, 255), alpha: float = 1.0) -> Policy:
    """Return the standard policy followed by `FMix`.

    Args:
        seed: Any integer.
        value_range: `(low, high)` of the images.
        alpha: See `FMix`.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.augment import fmix
    >>> batch = {"images": tf.zeros((4, 32, 32, 3), tf.uint8), "labels": tf.range(4)}
    >>> fmix(seed=1)(batch, step=0)["images"].dtype
    tf.uint8
    """
    return Policy([*standard_layers(), FMix(alpha)], seed, value_range, "fmix")


_BUILDERS = {
    builder.__name__: builder
    for builder in (
        none,
        digits,
        standard,
        geometric,
        turns,
        colour,
        noise,
        blur,
        cutout,
        gridmask,
        strong,
        augmix,
        mixup,
        cutmix,
        fmix,
    )
}


def policy_names() -> tuple[str, ...]:
    """Return the names that `named` knows."""
    return tuple(_BUILDERS)


def named(name: str, seed: int = 0, value_range: tuple[float, float] = (0, 255)) -> Policy:
    """Return a policy by its name.

    Args:
        name: One of `policy_names()`.
        seed: Any integer.
        value_range: `(low, high)` of the images.

    Raises:
        ValueError: If there is no policy of that name.

    Example:

    >>> from kd_keras.augment import named
    >>> named("standard", seed=3).name
    'standard'
    """
    if name not in _BUILDERS:
        close = difflib.get_close_matches(str(name).lower(), _BUILDERS, n=1)
        suggestion = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(
            f"`name` must be one of {', '.join(map(repr, _BUILDERS))}. Received: name={name!r}."
            + suggestion
        )
    return _BUILDERS[name](seed=seed, value_range=value_range)
