"""Contrast within a batch: student and teacher of an example find each other among the others."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kd_keras.losses.contract.contrastive import ContrastiveLoss, class_numbers


def in_batch_contrast(
    teacher_embeddings: Any, student_embeddings: Any, temperature: Any, negatives: Any = None
) -> Any:
    """Return the two-sided InfoNCE value of each example.

    ```
    value_i = - log softmax_j(s_i . t_j / T)_i - log softmax_j(t_i . s_j / T)_i
    ```

    Args:
        teacher_embeddings: t, float tensor `(batch, dimensions)` of unit length.
        student_embeddings: s, the same shape.
        temperature: T > 0.
        negatives: `None`, or a boolean tensor `(batch, batch)`: whether example j is a negative for
            example i. The diagonal is not looked at.

    Returns:
        Tensor `(batch,)`, values >= 0; 0 in a batch of one.
    """
    scores = ops.matmul(student_embeddings, ops.transpose(teacher_embeddings)) / temperature
    if negatives is not None:
        size = ops.shape(scores)[0]
        own = ops.cast(ops.eye(size), "bool")
        # Below any score, and finite: rows in which nothing else is left stay differentiable.
        scores = ops.where(ops.logical_or(own, negatives), scores, -1e9)
    own_score = ops.sum(student_embeddings * teacher_embeddings, axis=-1) / temperature
    to_teacher = ops.logsumexp(scores, axis=1) - own_score
    to_student = ops.logsumexp(scores, axis=0) - own_score
    return to_teacher + to_student


@keras.saving.register_keras_serializable(package="kd_keras")
class InBatchContrast(ContrastiveLoss):
    r"""Contrastive distillation with the other examples of the batch as negatives.

    ```
    s = unit(W_s student),  t = unit(W_t teacher)
    value_i = - log softmax_j(s_i . t_j / T)_i - log softmax_j(t_i . s_j / T)_i
    ```

    The variant of `ContrastiveRepresentation` that needs neither a memory bank nor the number of
    each example: the more examples in a batch, the more negatives (on several replicas, those of
    the replica's own part). The maps W train with the student. There is no published weight; 1 is
    of the size of a crossentropy. A batch of B starts at about 2 log B.

    Args:
        teacher_layer_name: The layer of the teacher, usually its pooled features (see `Loss`).
        student_layer_name: The layer of the student.
        temperature: T, from 0.001 to 1000; 0.07 as in CRD.
        dimensions: Length of the embeddings.
        other_classes_only: Whether examples with the same label are left out of the negatives;
            needs labels.

    Raises:
        ValueError: If an argument is out of range, or labels are needed and missing; and under
            `keras.distillation.Distiller`, which would not train the maps.

    Example:

    >>> import kd_keras, numpy as np
    >>> unit = np.eye(2, dtype="float32")
    >>> # e^0 / (e^1 + e^0), twice: 2 log(1 + e)
    >>> values = kd_keras.losses.in_batch_contrast(unit, unit[::-1], 1.0)
    >>> [round(value, 4) for value in values.numpy().tolist()]
    [2.6265, 2.6265]

    Reference: the two directions and the embeddings are those of Tian, Krishnan, Isola,
    "Contrastive Representation Distillation", ICLR 2020, arXiv:1910.10699; the value is InfoNCE,
    van den Oord, Li, Vinyals, 2018, arXiv:1807.03748.
    """

    def per_example(self, teacher_outputs: Any, student_outputs: Any, y: Any = None) -> Any:
        """Return one value per example, shape `(batch,)`.

        Args:
            teacher_outputs: Features `(batch, ...)`; maps are flattened.
            student_outputs: Features `(batch, ...)`, of any other shape.
            y: Labels, looked at with `other_classes_only` alone.
        """
        teacher, student = self.embed(teacher_outputs, student_outputs)
        negatives = None
        if self.other_classes_only:
            labels = class_numbers(y)
            negatives = ops.not_equal(labels[:, None], labels[None, :])
        return in_batch_contrast(teacher, student, self.temperature, negatives)
