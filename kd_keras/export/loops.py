"""Loops of a student, which TensorFlow Lite's calibrator may not stand: calibrated apart.

On most loops the calibrator reads memory that is not its own and ends its process. It gets one.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np

from kd_keras.export.signature import Signature

_LOOPS = frozenset({"While", "StatelessWhile"})
_PROGRAM = "from kd_keras.export.loops import main; main()"


class CrashError(Exception):
    """The process that calibrated ended without an answer; the message says how."""


def has_loop(signature: Signature) -> bool:
    """Whether a signature's inference loops as its layers are set now."""
    # What was traced before may have been unrolled since, and nothing that was unrolled loops anew.
    return _loops(signature) and _loops(dataclasses.replace(signature))


def _loops(signature: Signature) -> bool:
    graph = signature.traced.graph.as_graph_def()
    nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
    return any(node.op in _LOOPS for node in nodes)


def converted_apart(
    folder: Path, settings: tuple[Any, ...], representative: Mapping[str, np.ndarray]
) -> bytes:
    """Return what `converter.converted` returns, from a process of its own.

    Args:
        folder: The SavedModel.
        settings: The arguments between the folder and the examples.
        representative: The calibration examples by the names of the inputs.

    Raises:
        CrashError: If that process ended without an answer.
        RuntimeError: If the converter refused; its message.
    """
    examples, answer = folder / "examples.npz", folder / "answer"
    np.savez(examples, **cast(Any, dict(representative)))
    told = json.dumps([str(folder), settings, str(examples), str(answer)])
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, told],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # It must find the package where this process did, and needs no accelerator.
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "CUDA_VISIBLE_DEVICES": "",
        },
        check=False,
    )
    if not answer.exists():
        raise CrashError(f"its calibrator ended its process with {done.returncode}")
    kind, content = answer.read_bytes().split(b"\n", 1)
    if kind == b"refused":
        raise RuntimeError(content.decode("utf-8"))
    return content


def main() -> None:
    """Convert as the one argument says, and write the file or the refusal."""
    from kd_keras.export.converter import converted

    folder, settings, examples, answer = json.loads(sys.argv[1])
    with np.load(examples) as values:
        representative = {name: values[name] for name in values.files}
    try:
        names, quantization, input_dtype, output_dtype = settings
        content = b"file\n" + converted(
            Path(folder), names, quantization, input_dtype, output_dtype, representative
        )
    except Exception as error:
        content = b"refused\n" + str(error).encode("utf-8")
    beside = Path(f"{answer}.part")
    beside.write_bytes(content)
    beside.replace(answer)
