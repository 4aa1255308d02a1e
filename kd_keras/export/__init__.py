"""From a Keras student to a verified `.tflite` file, and what that file does on LiteRT.

LiteRT is imported when a file is first loaded, not when this package is.
"""

from kd_keras.export import metadata
from kd_keras.export.arena import arena_bytes
from kd_keras.export.checking import Comparison, Verification, verify
from kd_keras.export.classifier import Classifier
from kd_keras.export.judging import DisagreementError
from kd_keras.export.layers import LayerDifference, LayerReport, layer_differences
from kd_keras.export.operations import Operations, count_operations
from kd_keras.export.prediction import predict
from kd_keras.export.racing import Entry, Ratio, Standing, race
from kd_keras.export.result import ExportResult, OutputDifference
from kd_keras.export.runtime import LiteModel, Operator
from kd_keras.export.segmenter import Segmenter
from kd_keras.export.sound_classifier import SoundClassifier
from kd_keras.export.text_classifier import TextClassifier
from kd_keras.export.tflite import to_tflite
from kd_keras.export.thresholds import Miss, missed
from kd_keras.export.timing import Latency, latency

__all__ = [
    "Classifier",
    "Comparison",
    "DisagreementError",
    "Entry",
    "ExportResult",
    "Latency",
    "LayerDifference",
    "LayerReport",
    "LiteModel",
    "Miss",
    "Operations",
    "Operator",
    "OutputDifference",
    "Ratio",
    "Segmenter",
    "SoundClassifier",
    "Standing",
    "TextClassifier",
    "Verification",
    "arena_bytes",
    "count_operations",
    "latency",
    "layer_differences",
    "metadata",
    "missed",
    "predict",
    "race",
    "to_tflite",
    "verify",
]
