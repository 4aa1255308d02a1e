"""What our graphs raise, told from TensorFlow's own errors and made readable. Below every room."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import tensorflow as tf

# Assertions of ours begin with it.
MARKER = "kd_keras: "
NOT_FINITE = "the loss or its gradient is not finite"

# What TensorFlow names where the data, and nothing in the step, went wrong; run eagerly, and under
# a distribution strategy, too.
_WHILE_READING = re.compile(
    r"\[\[(\{\{node )?(MultiDevice)?IteratorGetNext(FromShard)?(\}\})?\]\]"
    r"|\[Op:(MultiDevice)?IteratorGetNext"
)
_NODES = re.compile(r"\n\t \[\[| \[Op:")
_NO_TRACE = "<stack traces unavailable>"


class NonFiniteLossError(FloatingPointError):
    """The loss, or its gradient, became NaN or infinite; the model keeps its last good state."""


class UnreadableDataError(RuntimeError):
    """A batch of data could not be read; the model keeps the state of its last complete step."""


@contextmanager
def readable_errors() -> Iterator[None]:
    """Turn what one of our graphs raised, or the data that it reads, into a plain Python error."""
    try:
        yield
    except tf.errors.OutOfRangeError:
        raise  # the end of the data
    except tf.errors.OpError as error:
        text = _own_message(error)
        if text is None and _WHILE_READING.search(error.message):
            raise UnreadableDataError(_reading_message(error)) from error
        if text is None:
            raise
        kind: Callable[[str], Exception] = ValueError
        if text.startswith(NOT_FINITE):
            kind = NonFiniteLossError
        raise kind(text[0].upper() + text[1:]) from None


def _reading_message(error: tf.errors.OpError) -> str:
    # TensorFlow writes where its graph was made, what went wrong, and the names of nodes.
    reason = _NODES.split(error.message)[0].strip()
    reason = reason.rpartition(_NO_TRACE)[2] if _NO_TRACE in reason else reason.split("\n\n")[-1]
    named = (
        ""
        if os.sep in reason
        else (
            " TensorFlow does not say which file that was: to find it, iterate over the dataset of "
            "each file alone."
        )
    )
    return (
        f"A batch of the data could not be read ({type(error).__name__}).{named} The model keeps "
        "the state of its last complete step, and a `kd_keras.Checkpoint` what it wrote last. "
        f"Repair or remove what cannot be read and call `fit` again. Received: {reason.strip()}"
    )


def _own_message(error: tf.errors.OpError) -> str | None:
    """Return our sentence out of what TensorFlow makes of an assertion's data.

    In a graph: `assertion failed: [text] [value] ...`; eagerly: `b'text'` and values, on lines.
    """
    message = error.message
    if MARKER not in message:
        return None
    sentence = message[message.index(MARKER) + len(MARKER) :].split("[[{{node")[0]
    sentence = re.sub(r"\] \[|['\"]?\n(b['\"])?", " ", sentence).replace("\\'", "'")
    return sentence.strip("[]'\" \t").replace("= ", "=")
