"""One way to train and to measure what a recipe says: as a run, or as the cells of a study.

Each is a folder, filled stage by stage and resumable at any moment. Imports no TensorFlow: what is
finished is read without it.
"""

from kd_keras.experiments.folder import RunFolder
from kd_keras.experiments.main_job import distill
from kd_keras.experiments.opening import open_run
from kd_keras.experiments.study import Study, run_study

__all__ = ["RunFolder", "Study", "distill", "open_run", "run_study"]
