"""Deprecated: studies are in `kd_keras.experiments.study`."""

from kd_keras.experiments import study
from kd_keras.moved import moved

__getattr__ = moved("kd_keras.study", dict.fromkeys(study.__all__, study.__name__))
