"""How what several teachers say becomes one answer: pure functions of logits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from kd_keras.losses.contract.logit_form import SMALLEST_PROBABILITY


def combined(rule: str, logits: Sequence[Any], weights: Sequence[Any]) -> tf.Tensor:
    """Return the logits of all teachers as one.

    ```
    probability:  log sum_k w_k softmax(z_k)
    logit:        sum_k w_k z_k
    majority:     log max(sum_k w_k [c = argmax z_k], 1e-30)
    ```

    Args:
        rule: A key of `RULES`.
        logits: Of each teacher, float32 `(batch, ..., classes)`.
        weights: Of each teacher, a number or `(batch, ..., 1)`; their sum is 1.
    """
    return RULES[rule](logits, weights)


def by_confidence(logits: Sequence[Any]) -> list[Any]:
    """Return weights `(batch, ..., 1)`: little for a teacher whose answer is spread.

    ```
    w_k = (1 - H_k / sum_j H_j) / (K - 1),   H_k the entropy of softmax(z_k)
    ```
    """
    entropies = []
    for z in logits:
        log_p = tf.nn.log_softmax(z)
        entropies.append(-tf.reduce_sum(tf.math.multiply_no_nan(log_p, tf.exp(log_p)), axis=-1))
    share = tf.stack(entropies)
    total = tf.reduce_sum(share, axis=0)
    # Where all are certain, none is more so than the others.
    share = tf.where(total > 0.0, tf.math.divide_no_nan(share, total), 1.0 / len(logits))
    return _others_share(tf.where(tf.math.is_nan(total), total, share))


def by_label(logits: Sequence[Any], log_likelihood: Callable[[Any], Any]) -> list[Any]:
    """Return weights `(batch, ..., 1)`: little for a teacher that is far from the label.

    ```
    w_k = (1 - exp(L_k) / sum_j exp(L_j)) / (K - 1),   L_k = -log softmax(z_k)[y]
    ```

    Args:
        logits: Of each teacher.
        log_likelihood: Returns log p of the labels, `(batch, ...)`, from log-probabilities.
    """
    losses = [-log_likelihood(tf.nn.log_softmax(z)) for z in logits]
    return _others_share(tf.nn.softmax(tf.stack(losses), axis=0))


def of_labels(y: Any, log_p: Any) -> tf.Tensor:
    """Return the log-likelihood `(batch, ...)` of class ids, or of one share per class."""
    y = tf.convert_to_tensor(y)
    if y.shape.rank == log_p.shape.rank and y.shape[-1] != log_p.shape[-1]:
        y = tf.squeeze(y, axis=-1)
    if y.shape.rank < log_p.shape.rank:
        y = tf.one_hot(tf.cast(y, tf.int32), tf.shape(log_p)[-1])
    return tf.reduce_sum(tf.math.multiply_no_nan(log_p, tf.cast(y, tf.float32)), axis=-1)


def _others_share(share: Any) -> list[Any]:
    weights = (1.0 - share) / float(share.shape[0] - 1)
    return [weight[..., tf.newaxis] for weight in tf.unstack(weights)]


def _probability(logits: Sequence[Any], weights: Sequence[Any]) -> tf.Tensor:
    terms = [
        tf.nn.log_softmax(z) + tf.math.log(tf.cast(w, tf.float32))
        for z, w in zip(logits, weights, strict=True)
    ]
    return tf.reduce_logsumexp(tf.stack(terms), axis=0)


def _logit(logits: Sequence[Any], weights: Sequence[Any]) -> tf.Tensor:
    return tf.add_n([w * z for z, w in zip(logits, weights, strict=True)])


def _majority(logits: Sequence[Any], weights: Sequence[Any]) -> tf.Tensor:
    votes = []
    for z, w in zip(logits, weights, strict=True):
        vote = tf.one_hot(tf.argmax(z, axis=-1, output_type=tf.int32), tf.shape(z)[-1])
        # Of NaN some class is the largest too: it must not pass for a vote.
        broken = tf.reduce_any(tf.math.is_nan(z), axis=-1, keepdims=True)
        votes.append(w * tf.where(broken, float("nan"), vote))
    return tf.math.log(tf.maximum(tf.add_n(votes), SMALLEST_PROBABILITY))


RULES: dict[str, Callable[..., tf.Tensor]] = {
    "probability": _probability,
    "logit": _logit,
    "majority": _majority,
}
