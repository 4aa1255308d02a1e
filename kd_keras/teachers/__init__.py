"""Who teaches."""

from kd_keras.teachers.frozen import freeze

__all__ = ["freeze"]
