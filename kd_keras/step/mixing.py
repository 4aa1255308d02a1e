"""The student's loss on mixed images: lambda * loss(y_a) + (1 - lambda) * loss(y_b)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from kd_keras.augment.views import Views
from kd_keras.step.masks import masks_of, with_masks


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


def label_loss(compiled_loss: Callable[..., Any], views: Views, y_pred: Any) -> Any:
    """Return the mean loss of the views' labels, of both where they are mixed.

    Args:
        compiled_loss: As for `mixed_loss`.
        views: What the student saw, and its labels.
        y_pred: Outputs of the student, any structure.
    """
    if views.share is None:
        return compiled_loss(views.y, y_pred, views.sample_weight)
    return mixed_loss(
        compiled_loss,
        views.y,
        views.second_y,
        y_pred,
        views.sample_weight,
        views.second_sample_weight,
        views.share,
    )


def mixed_loss(
    compiled_loss: Callable[..., Any],
    y: Any,
    second_y: Any,
    y_pred: Any,
    sample_weight: Any,
    second_sample_weight: Any,
    share: tf.Tensor,
) -> Any:
    """Return the mean over the batch of share * w_a * loss(y_a) + (1 - share) * w_b * loss(y_b).

    One call of the user's own compiled loss on the batch laid out twice, weighted so that its mean
    over 2B values is that sum: labels keep their format, and Keras's per-output loss trackers see
    the whole loss. Each label keeps its own weight, so a label of weight 0 never teaches.

    Args:
        compiled_loss: Called as `compiled_loss(y_true, y_pred, sample_weight)`; averages.
        y: Labels of the larger share, any structure.
        second_y: Labels of the smaller share, the same structure.
        y_pred: Outputs of the student, any structure.
        sample_weight: Weights that belong to `y`, or `None`.
        second_sample_weight: Weights that belong to `second_y`, or `None`.
        share: `(batch,)` float32, the share of `y`.
    """
    doubled_pred = with_masks(
        keras.tree.map_structure(_twice, y_pred),
        [None if mask is None else _twice(mask) for mask in masks_of(y_pred)],
    )
    doubled_y = keras.tree.map_structure(lambda a, b: tf.concat([a, b], axis=0), y, second_y)
    rank = _rank_of_values(compiled_loss, doubled_y, doubled_pred)
    weights = _doubled_weights(sample_weight, second_sample_weight, share, y_pred, rank)
    return compiled_loss(doubled_y, doubled_pred, weights)


def mixed_weight(sample_weight: Any, second_sample_weight: Any, share: tf.Tensor) -> Any:
    """Return the weight of a mixed example where no label is involved: share-weighted mean."""
    if sample_weight is None:
        return None
    return keras.tree.map_structure(
        lambda first, second: _scaled(first, share) + _scaled(second, 1.0 - share),
        sample_weight,
        second_sample_weight,
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
    loss = compiled_loss
    if hasattr(loss, "_flat_losses"):
        if not loss.built:
            loss.build(y, y_pred)
        loss = loss._flat_losses[0].loss
    if not isinstance(loss, keras.losses.Loss):
        return None
    tensors = [tf.convert_to_tensor(tensor) for tensor in (y, y_pred)]
    return len(loss.call(*[tf.cast(tensor, loss.dtype) for tensor in tensors]).shape)


def _twice(tensor: Any) -> tf.Tensor:
    return tf.concat([tensor, tensor], axis=0)


def _scaled(weight: Any, share: tf.Tensor) -> tf.Tensor:
    weight = tf.cast(weight, tf.float32)
    return weight * tf.reshape(share, [-1] + [1] * (len(weight.shape) - 1))
