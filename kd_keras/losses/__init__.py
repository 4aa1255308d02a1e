"""What is matched between teacher and student.

Every loss is a `keras.distillation.DistillationLoss`, so it also works in Keras's own distiller,
unless it owns layers, which Keras's would not train, or taps several layers: these say so.
The pure functions behind them return one value per position and reduce nothing.
"""

from kd_keras.losses.base import LogitLoss, Loss
from kd_keras.losses.contrastive_representation import ContrastiveRepresentation, noise_contrast
from kd_keras.losses.hint import Hint, feature_mse
from kd_keras.losses.in_batch_contrast import InBatchContrast, in_batch_contrast
from kd_keras.losses.kl_divergence import KLDivergence, kl_divergence
from kd_keras.losses.knowledge_review import KnowledgeReview, hierarchical_context
from kd_keras.losses.mean_squared import LogitsMSE, ProbabilityMSE, logits_mse, probability_mse
from kd_keras.losses.overhaul import OverhaulFeature, batch_norm_margin, partial_l2
from kd_keras.losses.soft_crossentropy import SoftCrossentropy, soft_crossentropy
from kd_keras.losses.trainable import TrainableLoss
from kd_keras.losses.variational_information import VariationalInformation, gaussian_surprise

__all__ = [
    "ContrastiveRepresentation",
    "Hint",
    "InBatchContrast",
    "KLDivergence",
    "KnowledgeReview",
    "LogitLoss",
    "LogitsMSE",
    "Loss",
    "OverhaulFeature",
    "ProbabilityMSE",
    "SoftCrossentropy",
    "TrainableLoss",
    "VariationalInformation",
    "batch_norm_margin",
    "feature_mse",
    "gaussian_surprise",
    "hierarchical_context",
    "in_batch_contrast",
    "kl_divergence",
    "logits_mse",
    "noise_contrast",
    "partial_l2",
    "probability_mse",
    "soft_crossentropy",
]
