"""Keep the start of TensorFlow from burying the first lines of a run."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kd_keras import _startup

if TYPE_CHECKING:
    from rich.console import Console

try:
    import resource
except ImportError:  # Windows has no such limits
    resource = None  # type: ignore[assignment]

_SILENT = "3"
# A process of its own, for it must outlive this one: where TensorFlow aborts, its last words are
# still in the pipe. What it leaves out is what TensorFlow's C++ code writes before it knows about
# TF_CPP_MIN_LOG_LEVEL; lines of fatal errors begin with F. Ctrl-C, which reaches the whole group,
# is the first process's to answer.
_RELAY = r"""
import os, re, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
chatter = re.compile(rb"WARNING: All log messages before absl|[IWE]\d{4} ")
for line in sys.stdin.buffer:
    if not chatter.match(line):
        os.write(2, line)
"""
# Longer than the relay needs; a child of the block that still holds the pipe does not stop us.
_RELAY_SECONDS = 5


@contextmanager
def quiet_start() -> Iterator[None]:
    """Leave TensorFlow's chatter out of standard error while the block imports and starts it.

    All other lines appear at once, those of an aborting process too. For imports and the first use
    of the device alone: meanwhile standard error is no terminal.

    Only in a process that is the `kd-keras` command, and unless the user has set another
    TF_CPP_MIN_LOG_LEVEL: elsewhere standard error and the loggers are not this package's to change.
    """
    if not _startup.is_command_line() or os.environ.get("TF_CPP_MIN_LOG_LEVEL") != _SILENT:
        yield
        return
    _tell_limit()
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    sys.stderr.flush()
    stderr = sys.stderr.fileno()
    saved = os.dup(stderr)
    reading, writing = os.pipe()
    relay = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _RELAY], stdin=reading, stderr=saved
    )
    # TensorFlow writes to the file descriptor: replacing sys.stderr would not reach it.
    os.dup2(writing, stderr)
    os.close(reading)
    os.close(writing)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(saved, stderr)
        os.close(saved)
        with contextlib.suppress(subprocess.TimeoutExpired):
            relay.wait(_RELAY_SECONDS)


@contextmanager
def starting(console: Console, doing: str = "Starting TensorFlow") -> Iterator[None]:
    """Say what the block does while it imports and starts TensorFlow, as `quiet_start` lets it.

    Args:
        console: Where it is said.
        doing: What the block does.

    Raises:
        ImportError: If Keras runs on another backend.
    """
    with console.status(f"{doing} ..."), quiet_start():
        _startup.refuse_other_backend()
        yield


@functools.cache
def _tell_limit() -> None:
    """Say beforehand what cannot be said then: TensorFlow aborts where a thread gets no memory."""
    if resource is None:
        return
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY:
        print(
            f"kd-keras: note: this process may take {limit / 1e9:.1f} GB of memory (ulimit -v). "
            "Where TensorFlow asks for more, the process may end without another word: then raise "
            "the limit, or lower the batch size or the size of the images.",
            file=sys.stderr,
        )
