"""What is matched between teacher and student.

Every loss is a `keras.distillation.DistillationLoss`, so it also works in Keras's own distiller.
The pure functions behind them return one value per position and reduce nothing.
"""

from kd_keras.losses.base import LogitLoss, Loss
from kd_keras.losses.hint import Hint, feature_mse
from kd_keras.losses.kl_divergence import KLDivergence, kl_divergence
from kd_keras.losses.mean_squared import LogitsMSE, ProbabilityMSE, logits_mse, probability_mse
from kd_keras.losses.soft_crossentropy import SoftCrossentropy, soft_crossentropy
from kd_keras.losses.trainable import TrainableLoss

__all__ = [
    "Hint",
    "KLDivergence",
    "LogitLoss",
    "LogitsMSE",
    "Loss",
    "ProbabilityMSE",
    "SoftCrossentropy",
    "TrainableLoss",
    "feature_mse",
    "kl_divergence",
    "logits_mse",
    "probability_mse",
    "soft_crossentropy",
]
