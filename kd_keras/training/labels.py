"""Checks of labels and of the compiled loss that would otherwise train on nonsense, silently."""

from __future__ import annotations

import warnings
from typing import Any

import keras
import tensorflow as tf

from kd_keras.graph_errors import MARKER
from kd_keras.losses.contract.output_kind import output_kind

_SPARSE = ("sparse_categorical_crossentropy", "SparseCategoricalCrossentropy")
_CATEGORICAL = ("categorical_crossentropy", "CategoricalCrossentropy")
_BINARY = ("binary_crossentropy", "BinaryCrossentropy")


def check_present(x: Any, y: Any, student_loss_weight: Any, has_teacher: bool) -> None:
    """Raise `ValueError` when there are no labels and the student's loss needs them.

    Args:
        x: Inputs, for what they may hold in the labels' place.
        y: Labels, or `None`.
        student_loss_weight: Of the labels; 0 needs none.
        has_teacher: Whether anything but labels could teach.
    """
    if y is not None or student_loss_weight == 0:
        return
    reason, remedy = "labels alone teach here", ""
    if has_teacher:
        reason = f"the student's loss needs them as student_loss_weight={student_loss_weight}"
        remedy = ", or build the Distiller with student_loss_weight=0"
    hint = ""
    if isinstance(x, dict):
        hint = (
            f" The data is a dict with keys {sorted(x)}, all of which Keras takes as inputs: map "
            "it to pairs first, `dataset.map(lambda d: (d['image'], d['label']))`."
        )
    raise ValueError(
        f"The data has no labels (`y` is None), but {reason}. Received: y=None. Pass "
        f"labels{remedy}.{hint}"
    )


def crossentropy_of(loss: Any) -> str | None:
    """Return the class name of the crossentropy that `loss` means, or `None`."""
    if isinstance(loss, str):
        name = loss
    elif isinstance(loss, keras.losses.Loss):
        name = type(loss).__name__
    else:
        name = getattr(loss, "__name__", "")
    for names in (_SPARSE, _CATEGORICAL, _BINARY):
        if name in names:
            return names[1]
    return None


def takes_empty_rows(loss: Any) -> bool:
    """Return whether `loss` takes one value per class, and counts nothing where all are 0."""
    return crossentropy_of(loss) == _CATEGORICAL[1] and not getattr(loss, "label_smoothing", 0)


def _takes_logits(loss: Any) -> bool:
    # `from_logits` is kept in the config of a Keras loss; names and functions default to False.
    return isinstance(loss, keras.losses.Loss) and bool(loss.get_config().get("from_logits"))


def warn_if_logits_meet_probability_loss(
    loss: Any, student: Any, kind: str | None = None, role: str = "student"
) -> None:
    """Warn when a crossentropy with `from_logits=False` is compiled for a student with logits.

    Keras clips the logits as if they were probabilities: for logits [5, -3, 2] and label 1 the loss
    is 16.8 and its gradient exactly zero.

    Args:
        loss: What was given to `compile`.
        student: The model.
        kind: What its output was found to be, when its graph does not tell.
        role: What it is here.
    """
    if (kind or output_kind(student)) != "logits":
        return
    for leaf in keras.tree.flatten(loss):
        name = crossentropy_of(leaf)
        if name is not None and not _takes_logits(leaf):
            warnings.warn(
                f"The {role} {student.name!r} returns logits, but the compiled loss "
                f"{_describe(leaf)} expects probabilities (from_logits=False): the loss is wrong "
                "and its gradient is zero wherever a logit lies outside 0..1. Write "
                f"`loss=keras.losses.{name}(from_logits=True)` in `compile`.",
                UserWarning,
                stacklevel=4,
            )


def _describe(loss: Any) -> str:
    return repr(loss) if isinstance(loss, str) else f"`{getattr(loss, 'name', loss)}`"


def assert_labels_in_range(loss: Any, y: Any, y_pred: Any) -> list[Any]:
    """Return assertions (to be used as control dependencies) that sparse labels are class ids.

    Floats may be class ids, and are cast to them: 0.5 would be class 0 without a word.
    """
    checks = []
    for leaf_loss, labels, logits in _aligned(loss, y, y_pred):
        if crossentropy_of(leaf_loss) != _SPARSE[1] or logits.shape[-1] is None:
            continue
        classes = logits.shape[-1]
        labels = tf.convert_to_tensor(labels)
        ignored = getattr(leaf_loss, "ignore_class", None)
        if labels.dtype.is_floating:
            part = tf.boolean_mask(labels, labels != tf.round(labels))
            checks.append(
                tf.debugging.Assert(
                    tf.size(part) == 0,
                    [
                        f"{MARKER}sparse labels must be class ids, which are whole numbers. For "
                        "one value between 0 and 1 compile with BinaryCrossentropy, for shares of "
                        "classes with CategoricalCrossentropy. Received: labels such as",
                        part,
                    ],
                )
            )
        labels = tf.cast(labels, tf.int64)
        valid = tf.logical_and(labels >= 0, labels < classes)
        if ignored is not None:
            valid = tf.logical_or(valid, labels == ignored)
        checks.append(
            tf.debugging.Assert(
                tf.reduce_all(valid),
                [
                    f"{MARKER}labels out of range: sparse labels must be class ids "
                    f"0..{classes - 1}, as the student's output has {classes} units. Give "
                    "the last layer one unit for each class, or relabel the data from 0; rows "
                    "without a label take one that the loss ignores, ignore_class=-1. "
                    "Received: smallest and largest label",
                    tf.reduce_min(labels),
                    tf.reduce_max(labels),
                ],
            )
        )
    return [check for check in checks if check is not None]


def _aligned(loss: Any, y: Any, y_pred: Any) -> list[tuple[Any, Any, Any]]:
    """Return (loss, labels, prediction) for each output that the three structures agree on."""
    if not keras.tree.is_nested(y_pred):
        leaves = keras.tree.flatten(loss), keras.tree.flatten(y)
        return [(leaves[0][0], leaves[1][0], y_pred)] if all(len(x) == 1 for x in leaves) else []
    if isinstance(loss, dict) and isinstance(y, dict) and isinstance(y_pred, dict):
        names = [name for name in loss if name in y and name in y_pred]
        return [(loss[name], y[name], y_pred[name]) for name in names]
    if all(isinstance(part, (list, tuple)) for part in (loss, y, y_pred)):
        return list(zip(loss, y, y_pred, strict=False))
    return []


def labelled_outputs(y: Any, y_pred: Any, student: Any) -> Any:
    """Return the outputs that have labels, of a subclassed student that returns a dict.

    The rest of the dict are taps for feature losses, for which Keras would demand labels too. (A
    functional model names its outputs, and Keras then takes `None` as the loss of one.)
    """
    is_dict = isinstance(y, dict) and isinstance(y_pred, dict)
    if not is_dict or hasattr(student, "output_names") or not set(y) < set(y_pred):
        return y_pred
    return {name: y_pred[name] for name in y}


def refuse_other_label_format(first: list[bool] | None, y: Any, y_pred: Any) -> list[bool]:
    """Return, for each output, whether the labels are one value per class; raise if that changed.

    "accuracy" is resolved to sparse or categorical accuracy by the first labels; labels of the
    other kind would then give a wrong number without a word.

    Args:
        first: What this returned for the first labels, `None` before them.
        y: Labels.
        y_pred: The student's outputs.
    """
    labels, outputs = keras.tree.flatten(y), keras.tree.flatten(y_pred)
    one_hot = [
        # Of one unit, labels with and without their last axis are the same.
        len(label.shape) == len(output.shape) and label.shape[-1] == output.shape[-1] != 1
        for label, output in zip(labels, outputs, strict=False)
    ]
    if first is not None and first != one_hot:
        raise ValueError(
            "The labels have another format than those that the compiled metrics were built on. "
            f"Expected: one-hot={first} (one entry for each output). Received: one-hot={one_hot}. "
            "Keras resolved 'accuracy' by the first format and would report wrong numbers for this "
            "one. Use one label format (class ids, or one-hot) for training, validation and "
            "evaluation, or call `compile` again."
        )
    return one_hot


def refuse_class_weight_on_dense_labels(y: Any, outputs_rank: int | None) -> None:
    """Raise for `class_weight` with labels per position, where Keras takes a wrong arg-max."""
    for labels in keras.tree.flatten(y):
        rank = len(labels.shape)
        dense = rank > 2 or (outputs_rank is not None and outputs_rank > 2)
        if dense:
            raise ValueError(
                "`class_weight` works for one label per example only; for dense labels Keras would "
                "take an arg-max over the width. Received: class_weight with labels of shape "
                f"{tuple(labels.shape)}. Pass `sample_weight` with one weight per position: "
                "`sample_weight = class_weights_array[y]`."
            )


def refuse_class_weight_on_independent_labels(loss: Any, y: Any) -> None:
    """Raise for `class_weight` with several labels per example, of which Keras takes the first."""
    leaves = keras.tree.flatten(loss)
    binary = any(crossentropy_of(leaf) == _BINARY[1] for leaf in leaves)
    for labels in keras.tree.flatten(y):
        if binary and len(labels.shape) > 1 and labels.shape[-1] != 1:
            raise ValueError(
                "`class_weight` works for one label per example only; of independent labels Keras "
                "would weigh an example by its first positive one. Received: class_weight with "
                f"labels of shape {tuple(labels.shape)} and a binary crossentropy. Pass "
                "`sample_weight`, one weight per example, or a loss of your own that weighs labels."
            )


def top_one(logits: Any) -> Any:
    """Return the class of each position, int32 `logits.shape[:-1]`; of one unit 0 or 1."""
    if logits.shape[-1] == 1:
        return tf.cast(tf.squeeze(logits, axis=-1) > 0.0, tf.int32)
    return tf.argmax(logits, axis=-1, output_type=tf.int32)


def accuracy(loss: Any, y: Any, logits: Any, mask: Any = None) -> tuple[Any, Any]:
    """Return (share of labelled positions that `logits` class as `y` does, number of them).

    Args:
        loss: The compiled loss as given, which tells class ids from one value per class.
        y: Labels.
        logits: Of the teacher.
        mask: Which positions count, `logits.shape[:-1]`; `None` for all.

    Returns:
        Float32 scalars; `(None, None)` where the labels are no classes of one output.
    """
    if y is None or keras.tree.is_nested(y) or keras.tree.is_nested(logits):
        return None, None
    if keras.tree.is_nested(loss):
        leaves = keras.tree.flatten(loss)
        loss = leaves[0] if len(leaves) == 1 else None
    kind, classes = crossentropy_of(loss), logits.shape[-1]
    chosen = top_one(logits)
    if kind == _SPARSE[1]:
        labels = tf.cast(y, tf.int32)
        if len(labels.shape) == len(logits.shape) and labels.shape[-1] == 1:
            labels = tf.squeeze(labels, axis=-1)
    elif kind == _CATEGORICAL[1] and y.shape[-1] == classes:
        labels = tf.argmax(y, axis=-1, output_type=tf.int32)
    elif kind == _BINARY[1] and classes == 1:
        labels = tf.reshape(tf.cast(tf.cast(y, tf.float32) > 0.5, tf.int32), tf.shape(chosen))
    else:
        return None, None
    if len(labels.shape) != len(chosen.shape):
        return None, None
    counted = tf.ones_like(labels, tf.float32)
    labelled = _labelled(loss, y, logits)
    if labelled is not None:
        counted = tf.cast(labelled, tf.float32)
    if mask is not None and len(mask.shape) == len(counted.shape):
        counted *= tf.cast(mask, tf.float32)
    hits = tf.cast(labels == chosen, tf.float32) * counted
    number = tf.reduce_sum(counted)
    return tf.math.divide_no_nan(tf.reduce_sum(hits), number), number


def ignored_positions(loss: Any, y: Any, outputs: Any) -> Any:
    """Return, for each output, which of its positions have a label, or `None` for all.

    A crossentropy with `ignore_class` counts nothing where the label is that class, a categorical
    one nothing where no class has a share, and neither may the teacher's word on padding or void
    pixels. Rows of one label each are unlabelled examples, of which the teacher may speak.

    Args:
        loss: The compiled loss as given.
        y: Labels.
        outputs: The student's outputs, any structure.

    Returns:
        In the order of `keras.tree.flatten(outputs)`, booleans of shape `output.shape[:-1]`.
    """
    flat = keras.tree.flatten(outputs)
    found: list[Any] = [None] * len(flat)
    if y is None:
        return found
    for leaf_loss, labels, output in _aligned(loss, y, outputs):
        place = next((i for i, leaf in enumerate(flat) if leaf is output), None)
        if place is not None and len(output.shape) > 2:
            found[place] = _labelled(leaf_loss, labels, output)
    return found


def _labelled(loss: Any, y: Any, output: Any) -> Any:
    """Return which positions of an output have a label, `output.shape[:-1]`, or `None` for all."""
    ignored = getattr(loss, "ignore_class", None)
    if ignored is not None:
        labels = tf.cast(y, tf.int64)
        if len(labels.shape) == len(output.shape) and labels.shape[-1] == 1:
            labels = tf.squeeze(labels, axis=-1)
        return labels != ignored
    if len(output.shape) > 2 and takes_empty_rows(loss) and len(y.shape) == len(output.shape):
        return tf.reduce_any(tf.convert_to_tensor(y) != 0, axis=-1)
    return None


def of_labelled_rows(loss: Any, y: Any, y_pred: Any, weight: Any) -> tuple[Any, Any, Any]:
    """Return labels, outputs and weights without the rows that have no label.

    A row of one label each has none where that is the `ignore_class` of its loss. Keras's losses
    leave it out, Keras's metrics would count it as wrong.

    Args:
        loss: The compiled loss as given.
        y: Labels.
        y_pred: The student's outputs.
        weight: Weights of the rows, or `None`.
    """
    kept = {
        id(output): _labelled(leaf_loss, labels, output)
        for leaf_loss, labels, output in _aligned(loss, y, y_pred)
        if len(output.shape) == 2
    }
    if all(rows is None for rows in kept.values()):
        return y, y_pred, weight
    if not keras.tree.is_nested(y_pred):
        return _rows(kept[id(y_pred)], y, y_pred, weight)
    keys = list(y_pred) if isinstance(y_pred, dict) else list(range(len(y_pred)))
    # Outputs may lack other rows, so each needs weights of its own.
    weights = weight if keras.tree.is_nested(weight) else dict.fromkeys(keys, weight)
    parts = [_rows(kept.get(id(y_pred[k])), y[k], y_pred[k], weights[k]) for k in keys]
    joined = [
        dict(zip(keys, part, strict=True)) if isinstance(y_pred, dict) else list(part)
        for part in zip(*parts, strict=True)
    ]
    return joined[0], joined[1], None if weight is None else joined[2]


def _rows(kept: Any, *tensors: Any) -> tuple[Any, ...]:
    """Return the rows of tensors that are to be kept; `None` keeps all, and stays `None`."""
    if kept is None:
        return tensors
    return tuple(None if t is None else tf.boolean_mask(t, kept) for t in tensors)


def refuse_other_format_than_loss(loss: Any, y: Any, outputs: Any) -> None:
    """Raise where one-hot labels meet a sparse crossentropy, or class ids a categorical one.

    Args:
        loss: The compiled loss as given.
        y: Labels, symbolic or not.
        outputs: The student's outputs.
    """
    for leaf_loss, labels, output in _aligned(loss, y, outputs):
        kind, classes = crossentropy_of(leaf_loss), output.shape[-1]
        one_per_class = len(labels.shape) == len(output.shape) and labels.shape[-1] == classes != 1
        if kind == _SPARSE[1] and one_per_class:
            expected, better = "class ids", _CATEGORICAL[1]
        elif kind == _CATEGORICAL[1] and len(labels.shape) < len(output.shape):
            expected, better = "one value per class (one-hot)", _SPARSE[1]
        else:
            continue
        raise ValueError(
            f"The compiled {kind} takes {expected}. Received: labels of shape "
            f"{tuple(labels.shape)} for outputs of shape {tuple(output.shape)}. Write "
            f"`loss=keras.losses.{better}(from_logits=True)`, or give the labels in that form."
        )
