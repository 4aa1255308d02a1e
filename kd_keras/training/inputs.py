"""What a network takes out of the batch's x: all of it, an entry, or what a function makes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def check_inputs(argument: str, inputs: Any) -> Any:
    """Return `inputs`, or raise if it says nothing of what to take.

    Args:
        argument: Its name, for the error.
        inputs: `None`, a key of a dict x, or a function (or layer) of x.

    Raises:
        ValueError: If it is something else.
    """
    is_function = callable(inputs) and not isinstance(inputs, type)
    if inputs is None or (isinstance(inputs, str) and inputs) or is_function:
        return inputs
    raise ValueError(
        f"`{argument}` must be None (the network takes what the data give), a key of a dict x, or "
        f"a function from x to what the network takes. Received: {argument}={inputs!r}. For "
        f"another size of images: {argument}=keras.layers.Resizing(height, width)."
    )


def take(argument: str, inputs: Any, x: Any) -> Any:
    """Return what a network takes out of x.

    Args:
        argument: As for `check_inputs`.
        inputs: What `check_inputs` returned.
        x: The batch's inputs.

    Raises:
        ValueError: If it is a key, and x has no such entry.
    """
    if inputs is None:
        return x
    if not isinstance(inputs, str):
        function: Callable[[Any], Any] = inputs
        return function(x)
    if not isinstance(x, dict) or inputs not in x:
        received = f"a dict with keys {sorted(x)}" if isinstance(x, dict) else f"{type(x).__name__}"
        raise ValueError(
            f"`{argument}` is the key {inputs!r}, which x must have. Received: x as {received}. "
            "Give the data as pairs (dict of inputs, labels), or pass a function of x."
        )
    return x[inputs]
