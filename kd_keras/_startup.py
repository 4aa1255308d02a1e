"""What has to happen before TensorFlow is imported: check the backend, quieten the command line."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

CONSOLE_SCRIPT = "kd-keras"


def is_command_line() -> bool:
    """Whether this process is `kd-keras ...` or `python -m kd_keras ...`.

    The command line must answer `--help` and print a saved table at once, so it does not pay the
    seconds that importing TensorFlow takes until a command needs it.
    """
    program = Path(sys.argv[0]).name if sys.argv else ""
    if program.removesuffix(".exe") == CONSOLE_SCRIPT:
        return True
    arguments = sys.orig_argv
    return "-m" in arguments and arguments[arguments.index("-m") + 1 :][:1] == ["kd_keras"]


def silence_tensorflow() -> None:
    """Keep TensorFlow's start-up chatter off the command line; a user's own setting wins."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


def refuse_legacy_keras() -> None:
    """Raise before TensorFlow is imported when the environment asks for Keras 2."""
    flag = os.environ.get("TF_USE_LEGACY_KERAS", "")
    if flag.lower() in ("1", "true"):
        raise ImportError(
            "kd_keras needs Keras 3, but the environment asks for legacy Keras 2. "
            f"Received: TF_USE_LEGACY_KERAS={flag!r}. Unset TF_USE_LEGACY_KERAS "
            "(`unset TF_USE_LEGACY_KERAS`) and start Python again."
        )


def configured_backend() -> str:
    """Return the backend that Keras runs on, or will when it is imported.

    Asked before Keras is imported, because importing it with the backend of a package that is not
    installed fails with an error that says nothing of kd_keras.
    """
    if "keras" in sys.modules:
        return sys.modules["keras"].backend.backend()
    if os.environ.get("KERAS_BACKEND"):
        return os.environ["KERAS_BACKEND"]
    home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    try:
        return json.loads((home / "keras.json").read_text()).get("backend", "tensorflow")
    except (OSError, ValueError):  # no such file, or not JSON: Keras ignores it too
        return "tensorflow"


def refuse_other_backend() -> None:
    """Raise when Keras runs on a backend other than TensorFlow."""
    backend = configured_backend()
    if backend != "tensorflow":
        raise ImportError(
            "kd_keras runs on the TensorFlow backend of Keras 3: its training step, its "
            "augmentation and its TFLite export are TensorFlow graphs. "
            f"Received: Keras backend {backend!r}. "
            "Set KERAS_BACKEND=tensorflow before Keras is first imported (or edit "
            "~/.keras/keras.json) and start Python again."
        )
