"""From a Keras student to a verified `.tflite` file, and what that file does on LiteRT.

LiteRT is imported when a file is first loaded, not when this package is.
"""

from kd_keras.export import metadata
from kd_keras.export.classifier import Classifier
from kd_keras.export.result import ExportResult, OutputDifference
from kd_keras.export.runtime import LiteModel, Operator, predict
from kd_keras.export.tflite import to_tflite
from kd_keras.export.timing import Latency, latency

__all__ = [
    "Classifier",
    "ExportResult",
    "Latency",
    "LiteModel",
    "Operator",
    "OutputDifference",
    "latency",
    "metadata",
    "predict",
    "to_tflite",
]
