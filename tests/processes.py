"""Processes of their own that need not load TensorFlow again: forked from one that has loaded it.

What is forked has computed nothing yet. So it can still choose its devices, and be killed, like one
that was started anew, and it has none of the state of the tests. What a new interpreter imports, or
says as it starts, cannot be tested with it.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import sys
import tempfile
import time
from pathlib import Path

import pytest

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(["tensorflow", "keras"])


def run(script: Path | str, *arguments, timeout: float = 1200, folder: Path | None = None) -> str:
    """Run a file, or code, to its end; give what it printed, or fail with what it complained of."""
    return Process(script, *arguments, folder=folder).printed(timeout)


class Process:
    """A file, or code, that runs beside the tests, by default in the root of the repository."""

    def __init__(
        self,
        script: Path | str,
        *arguments,
        folder: Path | None = None,
        environment: dict[str, str] | None = None,
    ):
        self._streams = tempfile.TemporaryDirectory()
        self._process = _forks.Process(
            target=_run,
            args=(
                script,
                [str(argument) for argument in arguments],
                folder or Path(__file__).parents[1],
                environment or {},
                self._streams.name,
            ),
            daemon=True,
        )
        self._process.start()

    def read(self, stream: str = "out") -> str:
        """What it has written so far, to "out" or to "err"."""
        path = Path(self._streams.name, stream)
        return path.read_text() if path.exists() else ""

    def is_running(self) -> bool:
        return self._process.is_alive()

    def wait_for(self, happened, timeout: float = 1200) -> None:
        """Wait until `happened()` is true while it runs."""
        end = time.monotonic() + timeout
        while not happened():
            assert self.is_running(), f"it ended before: {self.read('err')[-3000:]}"
            assert time.monotonic() < end, "it takes too long"
            time.sleep(0.01)

    def kill(self) -> None:
        """Kill it as `kill -9` does, and wait for its death."""
        self._process.kill()
        self._process.join()

    def end(self, timeout: float = 1200) -> int:
        """Wait for its end; give its exit code, which is below 0 where a signal ended it."""
        self._process.join(timeout)
        if self.is_running():
            self.kill()
            pytest.fail(f"It takes more than {timeout} s. {self.read('err')[-3000:]}")
        return self._process.exitcode

    def printed(self, timeout: float = 1200) -> str:
        """Wait for its end; give what it printed, or fail with what it complained of."""
        if self.end(timeout):
            pytest.fail(self.read("err")[-3000:])
        return self.read()


def _run(script, arguments, folder, environment, streams):
    for name, descriptor in (("out", 1), ("err", 2)):
        opened = os.open(Path(streams, name), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(opened, descriptor)
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = [str(script), *arguments]
    if isinstance(script, str):
        exec(compile(script, "<script>", "exec"), {"__name__": "__main__"})
    else:
        sys.path.insert(0, str(script.parent))
        runpy.run_path(str(script), run_name="__main__")
