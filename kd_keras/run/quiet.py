"""Keep the start of TensorFlow from burying the first lines of a run."""

from __future__ import annotations

import logging
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from kd_keras import _startup

# What TensorFlow's C++ code writes before it knows about TF_CPP_MIN_LOG_LEVEL.
_CHATTER = re.compile(rb"WARNING: All log messages before absl|[IWE]\d{4} ")
_SILENT = "3"


@contextmanager
def quiet_start() -> Iterator[None]:
    """Hold back standard error while the block imports TensorFlow, and then drop TensorFlow's part.

    Only in a process that is the `kd-keras` command, and unless the user has set another
    TF_CPP_MIN_LOG_LEVEL: elsewhere standard error and the loggers are not this package's to change.
    """
    if not _startup.is_command_line() or os.environ.get("TF_CPP_MIN_LOG_LEVEL") != _SILENT:
        yield
        return
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    sys.stderr.flush()
    stderr = sys.stderr.fileno()
    saved = os.dup(stderr)
    with tempfile.TemporaryFile() as held:
        # TensorFlow writes to the file descriptor: replacing sys.stderr would not reach it.
        os.dup2(held.fileno(), stderr)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(saved, stderr)
            os.close(saved)
            held.seek(0)
            for line in held:
                if not _CHATTER.match(line):
                    os.write(stderr, line)
