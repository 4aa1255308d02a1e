"""Deprecated: studies are in `kd_keras.experiments.study`."""

from kd_keras.moved import moved

_NAMES = (
    "Cell",
    "Estimate",
    "Study",
    "Summary",
    "Treatment",
    "hierarchical_bootstrap",
    "interaction",
    "run_study",
    "summarise",
)

__getattr__ = moved("kd_keras.study", dict.fromkeys(_NAMES, "kd_keras.experiments.study"))
