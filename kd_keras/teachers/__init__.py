"""Who teaches."""

from kd_keras.teachers.ensemble import Ensemble
from kd_keras.teachers.frozen import Frozen
from kd_keras.teachers.learning import Learning
from kd_keras.teachers.moving_average import MovingAverage
from kd_keras.teachers.named import Named
from kd_keras.teachers.peers import Peers
from kd_keras.teachers.recorded import Recorded

__all__ = ["Ensemble", "Frozen", "Learning", "MovingAverage", "Named", "Peers", "Recorded"]
