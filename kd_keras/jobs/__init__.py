"""What a command does with data, teachers and files, by their names; the same from Python.

Imports no TensorFlow until a job is done.
"""

from kd_keras.jobs.benchmarking import benchmark_files
from kd_keras.jobs.choosing import rank_teachers
from kd_keras.jobs.exporting import export_presets
from kd_keras.jobs.gallery import write_views
from kd_keras.jobs.pictures import read_picture
from kd_keras.jobs.predicting import classify
from kd_keras.jobs.ranking import rank_policies
from kd_keras.jobs.recording import check_labels, record_labels
from kd_keras.jobs.segmenting import segment
from kd_keras.jobs.verifying import verify_file

__all__ = [
    "benchmark_files",
    "check_labels",
    "classify",
    "export_presets",
    "rank_policies",
    "rank_teachers",
    "read_picture",
    "record_labels",
    "segment",
    "verify_file",
    "write_views",
]
