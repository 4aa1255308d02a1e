"""The student's loss on mixed images: lambda * loss(y_a) + (1 - lambda) * loss(y_b)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from kd_keras.compat.structure import first_of_compiled
from kd_keras.training.batch import Batch, Mix
from kd_keras.training.masks import masks_of, with_masks


def refuse_unmixable_loss(loss: Any) -> None:
    """Raise for a compiled loss whose reduction does not average over the batch.

    The mixed loss is taken as the mean over a batch of twice the length; a sum would double it.
    """
    for leaf in keras.tree.flatten(loss):
        reduction = getattr(leaf, "reduction", "sum_over_batch_size")
        if reduction in ("sum", "none", None):
            raise ValueError(
                "Mixing augmentation (MixUp, CutMix) needs a compiled loss that averages over the "
                "batch. Received: a loss with "
                f"reduction={reduction!r}. Use `reduction='sum_over_batch_size'`, the default."
            )


def label_loss(compiled_loss: Callable[..., Any], views: Batch, y_pred: Any) -> Any:
    """Return the mean loss of the views' labels, of both where they are mixed.

    ```
    mixed:  mean over the batch of  lam * w_a * loss(y_a) + (1 - lam) * w_b * loss(y_b)
    ```

    The mixed loss is one call of the user's own compiled loss on the batch laid out twice, weighted
    so that its mean over 2B values is that sum: labels keep their format, and Keras's per-output
    loss trackers see the whole loss. Each label keeps its own weight, so a label of weight 0 never
    teaches.

    Args:
        compiled_loss: Called as `compiled_loss(y_true, y_pred, sample_weight)`; averages.
        views: What the student saw, and its labels.
        y_pred: Outputs of the student, any structure.
    """
    if views.mix is None:
        return compiled_loss(views.y, y_pred, views.weight)
    doubled_pred = with_masks(
        keras.tree.map_structure(_twice, y_pred),
        [None if mask is None else _twice(mask) for mask in masks_of(y_pred)],
    )
    doubled_y = keras.tree.map_structure(
        lambda a, b: tf.concat([a, b], axis=0), views.y, views.mix.y
    )
    rank = _rank_of_values(compiled_loss, doubled_y, doubled_pred)
    weights = _doubled_weights(views.weight, views.mix.weight, views.mix.lam, y_pred, rank)
    return compiled_loss(doubled_y, doubled_pred, weights)


def mixed_weight(weight: Any, mix: Mix) -> Any:
    """Return the weight of a mixed example where no label is involved: the mean, shared by lam."""
    if weight is None:
        return None
    return keras.tree.map_structure(
        lambda first, second: _scaled(first, mix.lam) + _scaled(second, 1.0 - mix.lam),
        weight,
        mix.weight,
    )


def _doubled_weights(first: Any, second: Any, share: tf.Tensor, y_pred: Any, rank: Any) -> Any:
    """Return the weights of the batch laid out twice, for each output those of its rank.

    Keras lines weights up with the values of the loss from the right, so weights of examples would
    meet the width of dense values: they need the rank of the values, which outputs may not share.
    """
    if keras.tree.is_nested(first):
        if isinstance(first, dict) and isinstance(y_pred, dict):
            return {
                name: _doubled_weights(first[name], second[name], share, y_pred[name], rank)
                for name in first
            }
        # Weights in another container than the outputs; Keras says if the two do not agree.
        flat = zip(*(keras.tree.flatten(part) for part in (first, second, y_pred)), strict=False)
        return keras.tree.pack_sequence_as(
            first, [_doubled_weights(a, b, share, output, rank) for a, b, output in flat]
        )
    if keras.tree.is_nested(y_pred):
        return keras.tree.map_structure(
            lambda output: _doubled_weights(first, second, share, output, rank), y_pred
        )
    parts = [share, 1.0 - share]
    if first is not None:
        parts = [_scaled(first, share), _scaled(second, 1.0 - share)]
    weights = 2.0 * tf.concat(parts, axis=0)
    missing = (len(y_pred.shape) - 1 if rank is None else rank) - len(weights.shape)
    return tf.reshape(weights, [*tf.unstack(tf.shape(weights)), *[1] * missing])


def _rank_of_values(compiled_loss: Any, y: Any, y_pred: Any) -> int | None:
    """Return the rank of the loss values of a single output; `None` for one value per position.

    A user's own loss of a dense output may return one value per example.
    """
    if keras.tree.is_nested(y) or keras.tree.is_nested(y_pred):
        return None
    loss = first_of_compiled(compiled_loss, y, y_pred)
    if not isinstance(loss, keras.losses.Loss):
        return None
    tensors = [tf.convert_to_tensor(tensor) for tensor in (y, y_pred)]
    return len(loss.call(*[tf.cast(tensor, loss.dtype) for tensor in tensors]).shape)


def _twice(tensor: Any) -> tf.Tensor:
    return tf.concat([tensor, tensor], axis=0)


def _scaled(weight: Any, share: tf.Tensor) -> tf.Tensor:
    weight = tf.cast(weight, tf.float32)
    return weight * tf.reshape(share, [-1] + [1] * (len(weight.shape) - 1))
