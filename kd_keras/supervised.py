"""Deprecated: `Supervised` is public now, as `kd_keras.Supervised`."""

from kd_keras.moved import moved

__getattr__ = moved("kd_keras.supervised", {"Supervised": "kd_keras"})
