"""A file in LiteRT's CompiledModel, the runtime of the web page and of newer apps.

It plans buffers from the shapes that stand in the file. An output whose size is open is never
written there, and what the Interpreter gives right is then whatever the memory held.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any, cast

import numpy as np

from kd_keras.export.examples import Examples
from kd_keras.export.runtime import LiteModel
from kd_keras.whole_file import scratch_folder

_SCRIPT = Path(__file__).with_name("compiled_script.py")
_EXAMPLES = 4
# Seconds. It starts in half a second, and a file takes milliseconds.
_PATIENCE = 120.0
# Both runtimes call the same kernels.
_TOLERANCE = 0.01


def check_compiled(model: LiteModel, examples: Examples) -> None:
    """Compare a file in CompiledModel with the same file in the Interpreter, on a few examples.

    Args:
        model: The file in the Interpreter.
        examples: Inputs by name.

    Raises:
        ValueError: If a file of open batch size gives something else, or ends that runtime. A file
            of fixed size is warned of.
    """
    if any(None in shape[1:] for shape in model.input_shapes.values()):
        return  # an app sets the size first, which is another matter than what is written
    size = model.fixed_batch or 1
    count = max(size, _EXAMPLES // size * size)
    some = {
        name: np.resize(values[:count], (count, *values.shape[1:]))
        for name, values in examples.items()
    }
    problem = _difference(model, some, size)
    if problem is None:
        return
    told = (
        f"In LiteRT's CompiledModel, the runtime of the web and of newer apps, the file {problem}."
    )
    if model.fixed_batch is None:
        raise ValueError(
            f"{told} Its outputs are of open size, which that runtime does not fill: export it "
            "with batch_size=1. Nothing was kept."
        )
    warnings.warn(
        f"{told} In the Interpreter it is right: use that one.", UserWarning, stacklevel=3
    )


def _difference(model: LiteModel, examples: Examples, size: int) -> str | None:
    """Return how the outputs differ, as the end of a sentence, or None where they do not."""
    try:
        found = _CHILD.outputs(model.path, model.as_taken(examples))
    except NotRunError as error:
        return f"cannot be run ({error})"
    if found is None:
        return None
    for name, expected in model.predict_all(examples, batch_size=size).items():
        value = model.as_real(name, found[name]) if name in found else None
        if value is None or value.shape != expected.shape:
            return f"gives output {name!r} of another shape"
        scale = float(np.abs(expected).max())
        difference = float(np.abs(value - expected).max())
        allowed = _TOLERANCE * scale + 2 * model.output_encoding(name).scale
        if not difference <= allowed:
            return f"gives output {name!r} off by {difference:.3g} where the largest is {scale:.3g}"
    return None


class NotRunError(Exception):
    """The runtime refused the file, or ended with it; the message says how."""


class _Child:
    """The process that the files are run in: started when first needed, again after each crash."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._owner = 0
        self._lock = threading.Lock()

    def outputs(self, model: Path, inputs: Examples) -> Examples | None:
        """Return the outputs of a file by name; None where this LiteRT has no CompiledModel."""
        with self._lock, scratch_folder() as folder:
            paths = {"model": model, "inputs": folder / "in.npz", "outputs": folder / "out.npz"}
            np.savez(paths["inputs"], **cast(Any, inputs))
            asked = json.dumps({name: os.path.abspath(path) for name, path in paths.items()})
            process = self._started()
            start = time.monotonic()
            reply = ""
            if process.stdin and process.stdout:
                # What hangs is ended, and gives the same empty reply as what ends by itself.
                patience = threading.Timer(_PATIENCE, process.kill)
                patience.start()
                try:
                    process.stdin.write(asked + "\n")
                    process.stdin.flush()
                    reply = process.stdout.readline()
                except OSError:
                    reply = ""
                finally:
                    patience.cancel()
            if not reply:
                code = process.wait()
                self._process = None
                late = time.monotonic() - start >= _PATIENCE
                raise NotRunError(
                    f"there was no answer within {_PATIENCE:g} seconds"
                    if late
                    else f"the process ended with {code}"
                )
            if reply.startswith("ModuleNotFoundError"):
                return None
            if reply.strip():
                raise NotRunError(reply.strip())
            with np.load(paths["outputs"]) as values:
                return {name: values[name] for name in values.files}

    def close(self) -> None:
        """End the process, if this one started it."""
        if self._process is not None and self._owner == os.getpid() and self._process.stdin:
            self._process.stdin.close()
            self._process.wait()
        self._process = None

    def _started(self) -> subprocess.Popen[str]:
        # A forked process must not talk into its parent's pipes.
        if self._process is None or self._owner != os.getpid():
            self._process = subprocess.Popen(
                [sys.executable, "-c", _SCRIPT.read_text(encoding="utf-8")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            self._owner = os.getpid()
        return self._process


_CHILD = _Child()
atexit.register(_CHILD.close)
