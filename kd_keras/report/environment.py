"""What a run ran on, as far as it can change the results."""

from __future__ import annotations

import contextlib
import os
import platform
from importlib.metadata import version
from pathlib import Path

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
        "cpu": cpu_name(),
        "cpu cores": str(os.cpu_count()),
    }


def cpu_name() -> str:
    """Return the processor's name as its maker writes it, or what Python knows of it."""
    with contextlib.suppress(OSError):
        for line in (
            Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        ):
            name, _, value = line.partition(":")
            if name.strip() == "model name" and value.strip():
                return value.strip()
    return platform.processor() or platform.machine()
