"""Similarity-preserving distillation: examples that are alike to the teacher, and how much."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kd_keras.losses.contract.feature import RelationLoss
from kd_keras.losses.contract.vectors import l2_normalize


def similarity_preserving(teacher_vectors: Any, student_vectors: Any) -> Any:
    r"""Return sum_j (G(t)_ij - G(s)_ij)^2 / batch of each example i, rows of G of unit length.

    Args:
        teacher_vectors: Float tensor `(batch, width)`.
        student_vectors: Float tensor `(batch, other width)`.

    Returns:
        Tensor `(batch,)`, values in `[0, 4 / batch]`.
    """
    difference = _similarities(teacher_vectors) - _similarities(student_vectors)
    return ops.mean(ops.square(difference), axis=-1)


def _similarities(vectors: Any) -> Any:
    return l2_normalize(ops.matmul(vectors, ops.transpose(vectors)))


@keras.saving.register_keras_serializable(package="kd_keras")
class SimilarityPreserving(RelationLoss):
    r"""Squared difference between the similarity matrices of a batch of teacher and student.

    ```
    G = F F^T with each row divided by its L2 norm      (F: batch x width, flattened features)
    loss = ||G(teacher) - G(student)||_F^2 / batch^2
    ```

    It is invariant to rotations and to the scale of either net's features, whose widths may differ.
    The value of example i is sum_j (G(teacher)_ij - G(student)_ij)^2 / batch. Under `tf.distribute`
    the batch is that of a replica.

    Published weight (RepDistiller): 3000 on the maps of the last stage, batch 64, beside a student
    loss of weight 1 (`combine="sum"`).

    Args:
        teacher_layer_name: Layer of the teacher, or key of its dict output; `None` for its output.
        student_layer_name: The same for the student.

    Raises:
        ValueError: If an output is not one tensor `(batch, ...)`.

    Example:

    >>> import kd_keras, numpy as np
    >>> loss = kd_keras.losses.SimilarityPreserving()
    >>> teacher = np.array([[1.0, 0.0], [0.0, 1.0]])  # G = [[1, 0], [0, 1]]
    >>> student = np.array([[3.0], [3.0]])  # G = [[1, 1], [1, 1]] / sqrt(2)
    >>> round(float(loss.compute_loss(teacher, student)), 4)  # 1 - 1 / sqrt(2)
    0.2929

    Reference: Tung, Mori, "Similarity-Preserving Knowledge Distillation", ICCV 2019,
    arXiv:1907.09682.
    """

    def relation_values(self, teacher_vectors: Any, student_vectors: Any) -> Any:
        return similarity_preserving(teacher_vectors, student_vectors)
