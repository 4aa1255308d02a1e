"""Layers that keras-cv has not, or has not repeatably."""

from kd_keras.augment.layers.aug_mix import AugMix
from kd_keras.augment.layers.batchwise import BatchwiseImageLayer
from kd_keras.augment.layers.equalize import Equalize
from kd_keras.augment.layers.gaussian_blur import GaussianBlur
from kd_keras.augment.layers.generated import Generated
from kd_keras.augment.layers.grid_mask import GridMask
from kd_keras.augment.layers.jpeg_compression import JpegCompression
from kd_keras.augment.layers.mix_up import MixUp
from kd_keras.augment.layers.noise import GaussianNoise, SaltAndPepper, SpeckleNoise
from kd_keras.augment.layers.posterize import Posterize
from kd_keras.augment.layers.random_subset import RandomSubset
from kd_keras.augment.layers.region_mixing import CutMix, FMix
from kd_keras.augment.layers.resized_crop import RandomResizedCrop
from kd_keras.augment.layers.sharpness import Sharpness
from kd_keras.augment.layers.waveform import (
    BandMask,
    Gain,
    Speed,
    TimeMask,
    TimeShift,
    WhiteNoise,
)
from kd_keras.augment.layers.whole_pixels import RandomFlip, RandomShift, RandomTranspose

__all__ = [
    "AugMix",
    "BandMask",
    "BatchwiseImageLayer",
    "CutMix",
    "Equalize",
    "FMix",
    "Gain",
    "GaussianBlur",
    "GaussianNoise",
    "Generated",
    "GridMask",
    "JpegCompression",
    "MixUp",
    "Posterize",
    "RandomFlip",
    "RandomResizedCrop",
    "RandomShift",
    "RandomSubset",
    "RandomTranspose",
    "SaltAndPepper",
    "Sharpness",
    "SpeckleNoise",
    "Speed",
    "TimeMask",
    "TimeShift",
    "WhiteNoise",
]
