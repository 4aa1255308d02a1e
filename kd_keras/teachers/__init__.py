"""Who teaches."""

from kd_keras.teachers.frozen import freeze
from kd_keras.teachers.inference import TeacherInference

__all__ = ["TeacherInference", "freeze"]
