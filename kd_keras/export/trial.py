"""Files with a state or a loop, run in a process of their own before they run in this one.

A kernel with a state does not look at the size that a file gives it. In a file made for another
runtime it may write beyond its end, which ends the process, at once or at any time later.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

_SCRIPT = Path(__file__).with_name("trial_script.py")
# Seconds. It starts in half a second, and a file takes milliseconds.
_PATIENCE = 120.0
_STATEFUL = frozenset(
    {
        *("BIDIRECTIONAL_SEQUENCE_LSTM", "BIDIRECTIONAL_SEQUENCE_RNN"),
        *("UNIDIRECTIONAL_SEQUENCE_LSTM", "UNIDIRECTIONAL_SEQUENCE_RNN"),
        *("CALL", "CALL_ONCE", "HASHTABLE", "IF", "LSTM", "RNN", "SVDF", "VAR_HANDLE", "WHILE"),
    }
)
_CONVERT = "Convert the model for LiteRT, or with its state as an input and an output."
# The SHA-256 of each file that went well, and whether with delegates.
_TRIED: set[tuple[str, bool]] = set()


def refuse_what_ends_a_process(content: bytes, path: Path, plain: Any, *, delegates: bool) -> None:
    """Raise where a file of operators with a state or a loop ends the process that runs it.

    Args:
        content: The file's bytes.
        path: What the error calls it.
        plain: An interpreter with the file, without delegates.
        delegates: Whether it will run with LiteRT's default delegates.

    Raises:
        ValueError: If it ends its process, does not end itself, or has a state that is too small.
    """
    operators = plain._get_ops_details()
    suspects = sorted(_STATEFUL & {operator["op_name"] for operator in operators})
    key = hashlib.sha256(content).hexdigest(), delegates
    if not suspects or key in _TRIED:
        return
    problem = _small_state(operators) or _tried_apart(content, delegates)
    if problem:
        raise ValueError(
            f"LiteRT cannot run the .tflite file: {problem} Its operators with a state or a loop "
            f"are {', '.join(suspects)}. Received: path={str(path)!r}"
        )
    _TRIED.add(key)


def _small_state(operators: Sequence[Mapping[str, Any]]) -> str | None:
    """Return what is wrong with the state of an int8 SVDF, which LiteRT takes to be int16."""
    for operator in operators:
        kinds = [np.dtype(kind) for kind in operator["operand_types"]]
        # Input, two kernels, perhaps a bias, and the state.
        if operator["op_name"] == "SVDF" and kinds[0] == kinds[-1] == np.int8:
            return (
                "the state of its SVDF is int8, as in TensorFlow Lite Micro, where LiteRT's kernel "
                f"takes int16. {_CONVERT}"
            )
    return None


def _tried_apart(content: bytes, delegates: bool) -> str | None:
    """Return how a process ended that ran a file, or None where it did so well."""
    program = _SCRIPT.read_text(encoding="utf-8")
    try:
        done = subprocess.run(
            [sys.executable, "-c", program, "delegates" if delegates else "plain"],
            input=content,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"it did not end within {_PATIENCE:g} seconds."
    if done.returncode == 0:
        return None
    return f"the process that tried it ended with {done.returncode}. {_CONVERT}"
