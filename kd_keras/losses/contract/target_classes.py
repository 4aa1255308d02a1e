"""The target class of each position, from labels in the formats that Keras's losses take."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


def target_classes(labels: Any, logits: Any) -> Any:
    """Return the class ids of the labels, int32 of shape `logits.shape[:-1]`.

    Args:
        labels: Class ids `(batch, ...)` or `(batch, ..., 1)` of any dtype, or one value per class
            (one-hot, soft or mixed labels) of the shape of `logits`, whose largest is the target.
        logits: Tensor `(batch, ..., classes)` with two classes or more.

    Raises:
        ValueError: If the shape of `labels` is none of these.
    """
    labels = ops.convert_to_tensor(labels)
    rank = len(logits.shape)
    if len(labels.shape) == rank - 1:
        return ops.cast(labels, "int32")
    if len(labels.shape) == rank and labels.shape[-1] == 1:
        return ops.cast(ops.squeeze(labels, axis=-1), "int32")
    if len(labels.shape) == rank and labels.shape[-1] in (logits.shape[-1], None):
        return ops.cast(ops.argmax(labels, axis=-1), "int32")
    raise ValueError(
        "`y` must hold one class id per position, shape (batch, ...) or (batch, ..., 1), or one "
        "value per class, (batch, ..., classes). Received: labels of shape "
        f"{tuple(labels.shape)} for logits of shape {tuple(logits.shape)}."
    )


def labels_per_output(
    y: Any, outputs: Any, names: tuple[str | None, ...], loss_name: str
) -> list[Any]:
    """Return the labels of each output, in the order of `keras.tree.flatten(outputs)`.

    Args:
        y: A tensor, or a list or dict of tensors.
        outputs: The student's logits: a tensor, or a list or dict of tensors.
        names: What the output may be called in a dict of labels, where `outputs` is one tensor.
        loss_name: For the error messages.

    Raises:
        ValueError: If there are no labels, or if it is not clear which belong to an output.
    """
    if y is None:
        raise ValueError(
            f"{loss_name} needs the labels, as it treats the target class apart. Received: y=None. "
            "Train with kd_keras.Distiller on data with labels "
            "(keras.distillation.Distiller hands no labels to its losses), or use "
            "kd_keras.losses.KLDivergence, which needs none."
        )
    if not keras.tree.is_nested(outputs):
        leaves = keras.tree.flatten(y)
        if isinstance(y, dict):
            named = [y[name] for name in names if name in y]
            leaves = named[:1] or leaves
        if len(leaves) == 1:
            return leaves
    elif isinstance(outputs, dict) and isinstance(y, dict) and set(outputs) <= set(y):
        return keras.tree.flatten({name: y[name] for name in outputs})
    elif all(isinstance(part, (list, tuple)) for part in (outputs, y)) and len(outputs) == len(y):
        return list(y)
    raise ValueError(
        f"{loss_name} cannot tell which labels belong to which logits. Expected: `y` of the "
        f"structure of the outputs, {_structure(outputs)}. Received: y={_structure(y)}. Name one "
        "output with `teacher_layer_name` and `student_layer_name`, and its labels alike."
    )


def _structure(tensors: Any) -> Any:
    return keras.tree.map_structure(lambda tensor: tuple(tensor.shape), tensors)
