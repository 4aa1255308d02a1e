"""What our graphs raise, told from TensorFlow's own errors and made readable. Below every room."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import tensorflow as tf

# Assertions of ours begin with it.
MARKER = "kd_keras: "
NOT_FINITE = "the loss or its gradient is not finite"


class NonFiniteLossError(FloatingPointError):
    """The loss, or its gradient, became NaN or infinite; the model keeps its last good state."""


@contextmanager
def readable_errors() -> Iterator[None]:
    """Turn an assertion that one of our graphs raised into a plain Python error."""
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        text = _own_message(error)
        if text is None:
            raise
        kind: Callable[[str], Exception] = ValueError
        if text.startswith(NOT_FINITE):
            kind = NonFiniteLossError
        raise kind(text[0].upper() + text[1:]) from None


def _own_message(error: tf.errors.InvalidArgumentError) -> str | None:
    """Return our sentence out of what TensorFlow makes of an assertion's data.

    In a graph: `assertion failed: [text] [value] ...`; eagerly: `b'text'` and values, on lines.
    """
    message = error.message
    if MARKER not in message:
        return None
    sentence = message[message.index(MARKER) + len(MARKER) :].split("[[{{node")[0]
    sentence = re.sub(r"\] \[|['\"]?\n(b['\"])?", " ", sentence).replace("\\'", "'")
    return sentence.strip("[]'\" \t").replace("= ", "=")
