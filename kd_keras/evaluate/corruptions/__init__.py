"""The fifteen corruptions of CIFAR-10-C, at five severities, for uint8 images of any size.

Nothing is downloaded: images are corrupted in TensorFlow, by a seed. Strengths are those of the
reference; lengths in pixels are scaled from its 32x32 images to the size at hand.

Reference: Hendrycks and Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions
and Perturbations", ICLR 2019, arXiv:1903.12261.
"""

from kd_keras.evaluate.corruptions.corrupt import CORRUPTIONS, SEVERITIES, corrupt
from kd_keras.evaluate.corruptions.error import corruption_errors, mean_corruption_error

__all__ = [
    "CORRUPTIONS",
    "SEVERITIES",
    "corrupt",
    "corruption_errors",
    "mean_corruption_error",
]
