"""Keep the chatter of TensorFlow Lite's C++ code off the terminal."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import warnings
from collections.abc import Iterator

# The descriptor belongs to the whole process: two threads that redirect it in turn could restore
# each other's redirection.
_LOCK = threading.RLock()
_STDERR = 2


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Send what is written to the process's standard error to nowhere, until the block ends.

    The converter and the delegates write to the file descriptor, so `contextlib.redirect_stderr`
    does not reach them. Standard output is left alone: a progress bar there keeps moving.
    """
    with _LOCK:
        _flush_stderr()
        try:
            saved = os.dup(_STDERR)
        except OSError:  # A daemon may have closed it; then there is nothing to keep quiet.
            yield
            return
        try:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, _STDERR)
            os.close(nowhere)
            yield
        finally:
            _flush_stderr()
            os.dup2(saved, _STDERR)
            os.close(saved)


@contextlib.contextmanager
def quiet_converter() -> Iterator[None]:
    """Like `quiet_stderr`, without the deprecation notice of the converter's own interpreter."""
    with quiet_stderr(), warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message=r"\s*Warning: tf\.lite\.Interpreter is deprecated"
        )
        yield


def _flush_stderr() -> None:
    # Under a GUI sys.stderr is None; under a notebook it may be closed.
    with contextlib.suppress(AttributeError, ValueError, OSError):
        sys.stderr.flush()
