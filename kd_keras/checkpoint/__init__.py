"""Training that survives: a callback that lets `fit` go on where a killed process was."""

from kd_keras.checkpoint.callback import Checkpoint

__all__ = ["Checkpoint"]
