"""A run: a folder that holds one recipe's results, filled stage by stage, resumable at any moment.

Imports no TensorFlow: a finished run is read without it.
"""

from kd_keras.run.folder import RunFolder, open_run
from kd_keras.run.gallery import write_views
from kd_keras.run.main_job import distill
from kd_keras.run.pictures import read_picture
from kd_keras.run.predicting import classify
from kd_keras.run.ranking import rank_policies

__all__ = [
    "RunFolder",
    "classify",
    "distill",
    "open_run",
    "rank_policies",
    "read_picture",
    "write_views",
]
