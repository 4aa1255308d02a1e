"""The corruptions against the same ones written with SciPy, Pillow and matplotlib, on photographs.

Those that draw no random numbers are compared pixel by pixel, with the parameters of the reference
(Hendrycks and Dietterich, arXiv:1903.12261, `make_cifar_c.py`). The others have tests of their
statistics in test_corruptions.py.
"""

import io

import matplotlib.colors
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from sklearn.datasets import load_sample_image

from kd_keras.evaluate.corruptions import SEVERITIES, corrupt


@pytest.fixture(scope="module")
def photos() -> np.ndarray:
    """Eight 32x32 cuts of the photographs that scikit-learn ships, uint8."""
    cuts = []
    for name in ("china.jpg", "flower.jpg"):
        whole = load_sample_image(name)
        for column in (0, 120, 240, 213):
            square = Image.fromarray(whole[80:400, column : column + 320])
            cuts.append(np.asarray(square.resize((32, 32), Image.Resampling.LANCZOS)))
    return np.stack(cuts)


def brightness(image, severity):
    colours = matplotlib.colors.rgb_to_hsv(image / 255)
    colours[..., 2] = np.clip(colours[..., 2] + [0.05, 0.1, 0.15, 0.2, 0.3][severity - 1], 0, 1)
    return matplotlib.colors.hsv_to_rgb(colours) * 255


def contrast(image, severity):
    mean = image.mean(axis=(0, 1), keepdims=True)
    return (image - mean) * [0.75, 0.5, 0.4, 0.3, 0.15][severity - 1] + mean


def defocus_blur(image, severity):
    radius, sigma = [(0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)][severity - 1]
    x = np.arange(-8, 9)
    disk = (x[None] ** 2 + x[:, None] ** 2 <= radius**2).astype(float)
    # OpenCV's Gaussian of 3x3 pixels.
    line = np.exp(-(np.arange(-1, 2) ** 2) / (2 * sigma**2))
    kernel = ndimage.convolve(disk / disk.sum(), np.outer(line, line) / line.sum() ** 2)
    return ndimage.correlate(image.astype(float), kernel[..., None], mode="mirror")


def pixelate(image, severity):
    size = int(32 * [0.95, 0.9, 0.85, 0.75, 0.65][severity - 1])
    small = Image.fromarray(image).resize((size, size), Image.Resampling.BOX)
    return np.asarray(small.resize((32, 32), Image.Resampling.BOX)).astype(float)


def jpeg_compression(image, severity):
    stored = io.BytesIO()
    Image.fromarray(image).save(stored, "JPEG", quality=[80, 65, 58, 50, 40][severity - 1])
    return np.asarray(Image.open(stored)).astype(float)


def zoom_blur(image, severity):
    # About the middle; the reference cuts at whole pixels first, which shifts by up to one.
    last = [1.05, 1.10, 1.15, 1.20, 1.25][severity - 1]
    factors = np.arange(1.01, last + 0.005, 0.01)
    total = image.astype(float)
    for factor in factors:
        matrix = np.diag([1 / factor, 1 / factor, 1])
        offset = [15.5 - 15.5 / factor, 15.5 - 15.5 / factor, 0]
        total += ndimage.affine_transform(image.astype(float), matrix, offset, order=1)
    return total / (len(factors) + 1)


# Mean absolute difference in units of 255: a quarter is what rounding to whole numbers costs.
# Pillow rounds once more between shrinking and enlarging, and inverts JPEG's transform otherwise.
@pytest.mark.parametrize(
    ("independent", "tolerance"),
    [
        (brightness, 0.4),
        (contrast, 0.4),
        (defocus_blur, 0.4),
        (jpeg_compression, 1.2),
        (pixelate, 0.4),
        (zoom_blur, 0.4),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_corruptions_without_chance_equal_an_independent_implementation(
    photos, independent, tolerance
):
    name = independent.__name__
    for severity in SEVERITIES:
        ours = corrupt(photos, name, severity).numpy().astype(float)
        theirs = np.stack([np.clip(independent(image, severity), 0, 255) for image in photos])
        moved = np.abs(theirs - photos).mean()
        apart = np.abs(ours - theirs).mean()
        assert apart < tolerance, (severity, apart)
        assert apart < 0.5 * moved, (severity, apart, moved)
