"""Datasets in: the embedded digits, the TFDS catalogue, folders of images; batches of (x, y) out.

TensorFlow Datasets is imported in this room alone, and this room only when it is used.
"""

from kd_keras.data.digits import Digits
from kd_keras.data.generated import generated
from kd_keras.data.loading import load
from kd_keras.data.mixed import mixed
from kd_keras.data.splits import DataInfo, Splits

__all__ = ["DataInfo", "Digits", "Splits", "generated", "load", "mixed"]
