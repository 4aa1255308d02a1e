"""Deprecated: runs are in `kd_keras.experiments`, what is done with files in `kd_keras.jobs`."""

from kd_keras import jobs
from kd_keras.moved import moved

_RUNS = dict.fromkeys(("RunFolder", "distill", "open_run"), "kd_keras.experiments")

__getattr__ = moved("kd_keras.run", _RUNS | dict.fromkeys(jobs.__all__, jobs.__name__))
