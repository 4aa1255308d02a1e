"""Who teaches."""

from kd_keras.teachers.frozen import Frozen

__all__ = ["Frozen"]
