"""A run: a folder that holds one recipe's results, filled stage by stage, resumable at any moment.

Imports no TensorFlow: a finished run is read without it.
"""

from kd_keras.run.benchmarking import benchmark_files
from kd_keras.run.exporting import export_presets
from kd_keras.run.folder import RunFolder
from kd_keras.run.gallery import write_views
from kd_keras.run.main_job import distill
from kd_keras.run.opening import open_run
from kd_keras.run.pictures import read_picture
from kd_keras.run.predicting import classify
from kd_keras.run.ranking import rank_policies
from kd_keras.run.recording import check_labels, record_labels
from kd_keras.run.verifying import verify_file

__all__ = [
    "RunFolder",
    "benchmark_files",
    "check_labels",
    "classify",
    "distill",
    "export_presets",
    "open_run",
    "rank_policies",
    "read_picture",
    "record_labels",
    "verify_file",
    "write_views",
]
