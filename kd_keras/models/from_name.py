"""Architectures as text, for recipes and the command line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import keras

from kd_keras.models.mlp import mlp
from kd_keras.models.mobilenet import mobilenet
from kd_keras.models.resnet import resnet

# What a number may be is said by the architectures; Python itself refuses 4300 digits.
_RESNET = re.compile(r"resnet(?P<depth>[0-9]{1,9})(?:x(?P<width>[0-9]{1,9}))?")
_MOBILENET = re.compile(r"mobilenet(?:x(?P<width>[0-9]{1,9}(?:\.[0-9]{1,9})?))?")
_MLP = re.compile(r"mlp(?P<hidden>[0-9]{1,9}(?:-[0-9]{1,9})*)?")


def from_name(
    name: str,
    *,
    input_shape: Sequence[int],
    num_classes: int,
    weight_decay: float = 0.0,
    seed: int | None = None,
) -> keras.Model:
    """Build the architecture that a short name describes.

    | form | example | is |
    |---|---|---|
    | `resnet<depth>` | `resnet20` | `resnet(depth=20)` |
    | `resnet<depth>x<width>` | `resnet20x32` | `resnet(depth=20, width=32)` |
    | `mobilenet` | `mobilenet` | `mobilenet()` |
    | `mobilenetx<width>` | `mobilenetx0.5` | `mobilenet(width=0.5)` |
    | `mlp` | `mlp` | `mlp()` |
    | `mlp<units>[-<units>...]` | `mlp500-100` | `mlp(hidden=(500, 100))` |

    Args:
        name: One of the forms above.
        input_shape: (height, width, channels) of the images, without the batch axis.
        num_classes: Number of classes.
        weight_decay: As in the architecture's own function.
        seed: As in the architecture's own function.

    Returns:
        The model, named after `name`.

    Raises:
        ValueError: If `name` has none of the forms, or an argument is out of its range.
        TypeError: If `name` is not a string.

    Example:

    ```python
    import kd_keras

    student = kd_keras.models.from_name("resnet8", input_shape=(8, 8, 1), num_classes=10, seed=1)
    ```
    """
    if not isinstance(name, str):
        raise TypeError(f"`name` must be a string such as 'resnet20'. Received: name={name!r}.")
    shape: dict[str, Any] = {
        "input_shape": input_shape,
        "num_classes": num_classes,
        "weight_decay": weight_decay,
        "seed": seed,
        "name": name,
    }
    if match := _RESNET.fullmatch(name):
        return resnet(**shape, depth=int(match["depth"]), width=int(match["width"] or 16))
    if match := _MOBILENET.fullmatch(name):
        return mobilenet(**shape, width=float(match["width"] or 1.0))
    if match := _MLP.fullmatch(name):
        hidden = (match["hidden"] or "500").split("-")
        return mlp(**shape, hidden=tuple(int(units) for units in hidden))
    raise ValueError(
        "`name` must be one of the forms resnet<depth>, resnet<depth>x<width>, mobilenet, "
        "mobilenetx<width>, mlp, mlp<units>-<units>..., such as 'resnet20', 'resnet20x32', "
        f"'mobilenetx0.5' or 'mlp500'. Received: name={name!r}."
    )
