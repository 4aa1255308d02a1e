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
    if sample_weight is None:
        weights = tf.concat([share, 1.0 - share], axis=0)
    else:
        weights = keras.tree.map_structure(
            lambda first, second: tf.concat(
                [_scaled(first, share), _scaled(second, 1.0 - share)], axis=0
            ),
            sample_weight,
            second_sample_weight,
        )
    return compiled_loss(
        keras.tree.map_structure(lambda a, b: tf.concat([a, b], axis=0), y, second_y),
        doubled_pred,
        keras.tree.map_structure(lambda weight: 2.0 * weight, weights),
    )


def mixed_weight(sample_weight: Any, second_sample_weight: Any, share: tf.Tensor) -> Any:
    """Return the weight of a mixed example where no label is involved: share-weighted mean."""
    if sample_weight is None:
        return None
    return keras.tree.map_structure(
        lambda first, second: _scaled(first, share) + _scaled(second, 1.0 - share),
        sample_weight,
        second_sample_weight,
    )


def _twice(tensor: Any) -> tf.Tensor:
    return tf.concat([tensor, tensor], axis=0)


def _scaled(weight: Any, share: tf.Tensor) -> tf.Tensor:
    weight = tf.cast(weight, tf.float32)
    return weight * tf.reshape(share, [-1] + [1] * (len(weight.shape) - 1))
