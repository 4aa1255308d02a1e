"""What a run ran on, as far as it can change the results."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version

from kd_keras import __version__

_PACKAGES = (
    "tensorflow",
    "keras",
    "keras-cv",
    "tensorflow-datasets",
    "ai-edge-litert",
    "numpy",
)


def environment() -> dict[str, str]:
    """Return names and versions, in the order in which they are shown."""
    return {
        "python": platform.python_version(),
        "kd_keras": __version__,
        **{package: version(package) for package in _PACKAGES},
        "machine": f"{platform.system()} {platform.machine()}",
        "cpu cores": str(os.cpu_count()),
    }
