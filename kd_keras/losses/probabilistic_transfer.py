"""Probabilistic knowledge transfer: which other examples are near, as a distribution."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kd_keras.losses.contract.feature import RelationLoss
from kd_keras.losses.contract.vectors import norm

_EPSILON = 1e-7


def probabilistic_transfer(teacher_vectors: Any, student_vectors: Any) -> Any:
    r"""Return mean_j p_ij * log(p_ij / q_ij) of each example i, p and q rows of similarities.

    Args:
        teacher_vectors: Float tensor `(batch, width)`.
        student_vectors: Float tensor `(batch, other width)`.

    Returns:
        Tensor `(batch,)`, values >= 0 but for rounding.
    """
    teacher, student = _probabilities(teacher_vectors), _probabilities(student_vectors)
    ratio = ops.log((teacher + _EPSILON) / (student + _EPSILON))
    return ops.mean(teacher * ratio, axis=-1)


def _probabilities(vectors: Any) -> Any:
    """Return the cosine similarities as shares of their row, first moved from -1..1 to 0..1."""
    vectors = vectors / (norm(vectors, keepdims=True) + _EPSILON)
    cosines = ops.matmul(vectors, ops.transpose(vectors))
    # Rounding takes opposite vectors below -1, and the logarithm of what is below 0 is NaN.
    similarities = ops.maximum((cosines + 1.0) / 2.0, 0.0)
    return similarities / ops.sum(similarities, axis=-1, keepdims=True)


@keras.saving.register_keras_serializable(package="kd_keras")
class ProbabilisticTransfer(RelationLoss):
    r"""KL divergence between the neighbourhoods of each example in the two feature spaces (PKT).

    ```
    k_ij = (cos(f_i, f_j) + 1) / 2,  p_ij = k_ij / sum_j k_ij   (teacher; q_ij of the student)
    loss = mean_ij p_ij * log((p_ij + 1e-7) / (q_ij + 1e-7))
    ```

    The mean is taken over all pairs, as in the reference: the sum of each row's divergence is
    divided by the batch size twice. The loss is invariant to rotations, and to the scale of each
    vector; the widths may differ. The value of example i is its row's mean. Under `tf.distribute`
    the batch is that of a replica.

    Published weight (RepDistiller): 30000 on the pooled features before the last layer, batch 64,
    beside a student loss of weight 1 (`combine="sum"`).

    Args:
        teacher_layer_name: Layer of the teacher, or key of its dict output; `None` for its output.
        student_layer_name: The same for the student.

    Raises:
        ValueError: If an output is not one tensor `(batch, ...)`.

    Example:

    >>> import kd_keras, numpy as np
    >>> loss = kd_keras.losses.ProbabilisticTransfer()
    >>> teacher = np.array([[1.0, 0.0], [0.0, 1.0]])  # k = [[1, 1/2], [1/2, 1]], p = [2/3, 1/3]
    >>> student = np.array([[3.0], [3.0]])  # k = 1, q = [1/2, 1/2]
    >>> round(float(loss.compute_loss(teacher, student)), 4)  # (2/3 log 4/3 + 1/3 log 2/3) / 2
    0.0283

    Reference: Passalis, Tefas, "Learning Deep Representations with Probabilistic Knowledge
    Transfer", ECCV 2018, arXiv:1803.10837.
    """

    def relation_values(self, teacher_vectors: Any, student_vectors: Any) -> Any:
        return probabilistic_transfer(teacher_vectors, student_vectors)
