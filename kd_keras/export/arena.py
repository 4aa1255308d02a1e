"""How much memory a `.tflite` file needs for its activations."""

from __future__ import annotations

import os

from kd_keras.export.plain import open_plain

# TFLite puts tensors at multiples of this many bytes.
_ALIGNMENT = 64


def arena_bytes(path: str | os.PathLike[str]) -> int:
    """Return the peak bytes of all tensors that are not in the file, for one image.

    These are the activations and the kernels' scratch tensors, as TFLite's planner places them:
    tensors that never live at the same time share memory, so the peak is what the arena takes.
    The weights are not counted (they stay in the file, mapped into memory), and the figure is that
    of TFLite's own kernels: XNNPACK packs a copy of the weights and keeps a workspace beside it.

    Args:
        path: The file.

    Returns:
        Bytes, without the up to 64 that aligning the arena itself may add.

    Raises:
        ValueError: If the file is damaged.

    Example:

    >>> import keras, kd_keras
    >>> student = keras.Sequential([keras.Input((64,)), keras.layers.Dense(32, activation="relu"),
    ...                             keras.layers.Dense(32)])
    >>> result = kd_keras.export.to_tflite(student, "student.tflite")
    >>> kd_keras.export.arena_bytes("student.tflite")  # (64 + 32 + 32) floats
    512

    Reference: Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference",
    arXiv:2001.03288, which is how the planner places them.
    """
    # The planner places each tensor at the start of an arena or right after another one, so that an
    # arena has no holes but those of the alignment; what lies further apart is another arena or
    # another allocation.
    model = open_plain(path)
    places = sorted(
        place
        for index in model.details
        if index not in model.constants and (place := model.memory(index)) is not None
    )
    total = end = 0
    for address, size in places:
        if address - end >= _ALIGNMENT:
            end = address
        total += max(0, address + size - end)
        end = max(end, address + size)
    return total
