"""Correlation congruence, as its authors coded it: differences of neighbours in a batch."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kd_keras.losses.contract.feature import RelationLoss


def correlation_congruence(teacher_vectors: Any, student_vectors: Any) -> Any:
    r"""Return batch / (batch - 1) * sum_d |t_i - s_i|_d * |t_i+1 - s_i+1|_d of each example i.

    Args:
        teacher_vectors: Float tensor `(batch, width)`.
        student_vectors: Float tensor of the same shape.

    Returns:
        Tensor `(batch,)`, values >= 0. The last example begins no pair; its value is 0.
    """
    distance = ops.abs(teacher_vectors - student_vectors)
    products = ops.sum(distance[:-1] * distance[1:], axis=-1)
    batch = ops.cast(ops.shape(distance)[0], distance.dtype)
    # The mean over the examples is then the mean over the pairs, one fewer.
    products = products * ops.divide_no_nan(batch, batch - 1.0)
    return ops.concatenate([products, ops.zeros_like(distance[-1:, 0])], axis=0)


@keras.saving.register_keras_serializable(package="kd_keras")
class CorrelationCongruence(RelationLoss):
    r"""Products of the feature differences of neighbouring examples of a batch (CC).

    ```
    d_i = |F_i(teacher) - F_i(student)|
    loss = mean_i sum_d d_i * d_i+1        over the batch - 1 pairs of neighbours
    ```

    This is the form of RepDistiller, which has it from the authors; the formula in the paper
    compares the kernel matrices of the two batches. It looks at neighbours only, so the batches
    must be shuffled, and it is 0 as soon as one of each two neighbours agrees: use it together with
    another loss. RepDistiller embeds both nets in 128 dimensions by a trained layer first; here
    features are compared as they are, and need one width. For features of different widths use
    `SimilarityPreserving` or `ProbabilisticTransfer`.

    The value of example i is that of the pair (i, i + 1), scaled by batch / (batch - 1); the last
    example's is 0. Under `tf.distribute` the batch is that of a replica.

    Published weight (RepDistiller): 0.02 on the embedded features before the last layer, beside a
    student loss of weight 1 (`combine="sum"`).

    Args:
        teacher_layer_name: Layer of the teacher, or key of its dict output; `None` for its output.
        student_layer_name: The same for the student.

    Raises:
        ValueError: If an output is not one tensor `(batch, ...)`, or if the shapes differ.

    Example:

    >>> import kd_keras, numpy as np
    >>> loss = kd_keras.losses.CorrelationCongruence()
    >>> teacher, student = np.array([[1.0, 0.0], [2.0, 3.0]]), np.zeros((2, 2))
    >>> float(loss.compute_loss(teacher, student))  # 1 * 2 + 0 * 3
    2.0

    Reference: Peng et al., "Correlation Congruence for Knowledge Distillation", ICCV 2019,
    arXiv:1904.01802.
    """

    def validate_outputs(self, teacher_outputs: Any, student_outputs: Any) -> None:
        """Raise `ValueError` unless both outputs have one shape."""
        super().validate_outputs(teacher_outputs, student_outputs)
        shapes = tuple(teacher_outputs.shape), tuple(student_outputs.shape)
        same = len(shapes[0]) == len(shapes[1]) and all(
            a is None or b is None or a == b for a, b in zip(*shapes, strict=True)
        )
        if not same:
            raise ValueError(
                f"{type(self).__name__} subtracts the student's features from the teacher's, so "
                f"both need one shape. Received: teacher features {shapes[0]}, student features "
                f"{shapes[1]}. Tap layers of one width, or use "
                "kd_keras.losses.SimilarityPreserving, which compares features of any width."
            )

    def relation_values(self, teacher_vectors: Any, student_vectors: Any) -> Any:
        return correlation_congruence(teacher_vectors, student_vectors)
