"""Deprecated: runs are in `kd_keras.experiments`, what is done with files in `kd_keras.jobs`."""

from kd_keras.moved import moved

_RUNS = ("RunFolder", "distill", "open_run")
_JOBS = (
    "benchmark_files",
    "check_labels",
    "classify",
    "export_presets",
    "rank_policies",
    "read_picture",
    "record_labels",
    "verify_file",
    "write_views",
)

__getattr__ = moved(
    "kd_keras.run",
    dict.fromkeys(_RUNS, "kd_keras.experiments") | dict.fromkeys(_JOBS, "kd_keras.jobs"),
)
