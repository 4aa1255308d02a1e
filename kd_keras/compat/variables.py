"""What Keras knows of a variable before there is room made for it, and has no public name for."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import tensorflow as tf


class TooLargeError(ValueError):
    """Variables would take more bytes than was said."""


@contextlib.contextmanager
def bounded_variables(most: int) -> Iterator[None]:
    """Let the variables that Keras makes in the block take so many bytes together at most.

    keras/src/backend/tensorflow/core.py, `Variable._initialize_with_initializer`: what makes the
    first value is a function that knows the variable as `self`, and TensorFlow is told no shape.
    What is made in another way passes.

    Raises:
        TooLargeError: If they would take more, whatever Keras raises then.
    """
    declared = 0

    def error() -> TooLargeError:
        return TooLargeError(
            f"its layers declare {declared:,} bytes of weights or more, and at most {most:,} are "
            "made for what is in it"
        )

    def bounded(make: Any, **settings: Any) -> Any:
        nonlocal declared
        shape = _shape_of(settings.get("initial_value"))
        if shape is not None:
            declared += math.prod(shape) * tf.as_dtype(settings["dtype"]).size
        if declared > most:
            raise error()
        return make(**settings)

    with tf.variable_creator_scope(bounded):
        try:
            yield
        except Exception as raised:
            if declared <= most:
                raise
            raise error() from raised


def _shape_of(makes_value: Any) -> tuple[int, ...] | None:
    code = getattr(makes_value, "__code__", None)
    if code is None or "self" not in code.co_freevars:
        return None
    cell = makes_value.__closure__[code.co_freevars.index("self")]
    shape = getattr(cell.cell_contents, "shape", None)
    return None if shape is None else tuple(shape)
