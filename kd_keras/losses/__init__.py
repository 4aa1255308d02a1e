"""What is matched between teacher and student.

Every loss is a `keras.distillation.DistillationLoss`, so it also works in Keras's own distiller,
unless it owns layers, which Keras's would not train, or taps several layers: these say so.
The pure functions behind them return one value per position (or per example) and reduce nothing.
"""

from kd_keras.losses.attention_transfer import AttentionTransfer, attention_transfer
from kd_keras.losses.channel_wise import ChannelWise, channel_wise
from kd_keras.losses.contract.adapted import AdaptedLoss
from kd_keras.losses.contract.base import LogitLoss, Loss
from kd_keras.losses.contract.feature import FeatureLoss, FeatureMapLoss, RelationLoss
from kd_keras.losses.contract.trainable import TrainableLoss
from kd_keras.losses.contrastive_representation import ContrastiveRepresentation, noise_contrast
from kd_keras.losses.correlation_congruence import CorrelationCongruence, correlation_congruence
from kd_keras.losses.decoupled import DecoupledKD, decoupled_kd
from kd_keras.losses.dist import DIST, dist
from kd_keras.losses.hard_label import HardLabel, hard_label
from kd_keras.losses.hint import Hint, feature_mse
from kd_keras.losses.in_batch_contrast import InBatchContrast, in_batch_contrast
from kd_keras.losses.input_gradient import InputGradient, input_gradient
from kd_keras.losses.kl_divergence import (
    BinaryKLDivergence,
    KLDivergence,
    binary_kl_divergence,
    kl_divergence,
)
from kd_keras.losses.knowledge_review import KnowledgeReview, hierarchical_context
from kd_keras.losses.mean_squared import LogitsMSE, ProbabilityMSE, logits_mse, probability_mse
from kd_keras.losses.neuron_selectivity import NeuronSelectivity, neuron_selectivity
from kd_keras.losses.overhaul import OverhaulFeature, batch_norm_margin, partial_l2
from kd_keras.losses.probabilistic_transfer import ProbabilisticTransfer, probabilistic_transfer
from kd_keras.losses.relational_kd import (
    RelationalKD,
    relational_angle,
    relational_distance,
    relational_kd,
)
from kd_keras.losses.similarity_preserving import SimilarityPreserving, similarity_preserving
from kd_keras.losses.soft_crossentropy import SoftCrossentropy, soft_crossentropy
from kd_keras.losses.standardized_kl import StandardizedKL, standardized_kl
from kd_keras.losses.variational_information import VariationalInformation, gaussian_surprise

__all__ = [
    "DIST",
    "AdaptedLoss",
    "AttentionTransfer",
    "BinaryKLDivergence",
    "ChannelWise",
    "ContrastiveRepresentation",
    "CorrelationCongruence",
    "DecoupledKD",
    "FeatureLoss",
    "FeatureMapLoss",
    "HardLabel",
    "Hint",
    "InBatchContrast",
    "InputGradient",
    "KLDivergence",
    "KnowledgeReview",
    "LogitLoss",
    "LogitsMSE",
    "Loss",
    "NeuronSelectivity",
    "OverhaulFeature",
    "ProbabilisticTransfer",
    "ProbabilityMSE",
    "RelationLoss",
    "RelationalKD",
    "SimilarityPreserving",
    "SoftCrossentropy",
    "StandardizedKL",
    "TrainableLoss",
    "VariationalInformation",
    "attention_transfer",
    "batch_norm_margin",
    "binary_kl_divergence",
    "channel_wise",
    "correlation_congruence",
    "decoupled_kd",
    "dist",
    "feature_mse",
    "gaussian_surprise",
    "hard_label",
    "hierarchical_context",
    "in_batch_contrast",
    "input_gradient",
    "kl_divergence",
    "logits_mse",
    "neuron_selectivity",
    "noise_contrast",
    "partial_l2",
    "probabilistic_transfer",
    "probability_mse",
    "relational_angle",
    "relational_distance",
    "relational_kd",
    "similarity_preserving",
    "soft_crossentropy",
    "standardized_kl",
]
