"""Layers that keras-cv has not, or has not repeatably."""

from kd_keras.augment.layers.batchwise import BatchwiseImageLayer
from kd_keras.augment.layers.cut_mix import CutMix
from kd_keras.augment.layers.generated import Generated
from kd_keras.augment.layers.mix_up import MixUp
from kd_keras.augment.layers.noise import GaussianNoise, SaltAndPepper
from kd_keras.augment.layers.random_subset import RandomSubset
from kd_keras.augment.layers.resized_crop import RandomResizedCrop

__all__ = [
    "BatchwiseImageLayer",
    "CutMix",
    "GaussianNoise",
    "Generated",
    "MixUp",
    "RandomResizedCrop",
    "RandomSubset",
    "SaltAndPepper",
]
