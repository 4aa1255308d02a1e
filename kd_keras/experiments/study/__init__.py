"""A study: a grid of recipes, every distillation with every augmentation, over several seeds.

Imports no TensorFlow: grids are made, and finished studies read, without it.
"""

from kd_keras.experiments.study.grid import Cell, Study, Treatment
from kd_keras.experiments.study.run import run_study
from kd_keras.experiments.study.statistics import Estimate, hierarchical_bootstrap, interaction
from kd_keras.experiments.study.summary import Summary, summarise

__all__ = [
    "Cell",
    "Estimate",
    "Study",
    "Summary",
    "Treatment",
    "hierarchical_bootstrap",
    "interaction",
    "run_study",
    "summarise",
]
