"""DIST: correlations between the predictions of teacher and student, by example and by class."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kd_keras.compat.structure import mask_of
from kd_keras.losses.contract.base import match_rank
from kd_keras.losses.contract.schedules import checked_weight
from kd_keras.losses.contract.softened import SoftenedLoss, two_classes_if_binary
from kd_keras.losses.contract.vectors import is_constant, norm

_EPSILON = 1e-8


def dist(
    teacher_logits: Any,
    student_logits: Any,
    temperature: Any,
    beta: Any,
    gamma: Any,
    valid: Any = None,
) -> Any:
    r"""Return T^2 * (beta * row distance + gamma * mean column distance) of each position.

    Args:
        teacher_logits: Float tensor `(..., classes)`.
        student_logits: Float tensor of the same shape.
        temperature: T > 0.
        beta: Weight >= 0 of the rows: the classes of one position.
        gamma: Weight >= 0 of the columns: one class over all positions of all examples.
        valid: Booleans `(...)`, the positions that columns are made of, or `None` for all.

    Returns:
        Tensor of shape `logits.shape[:-1]`, values in `[0, 2 * T^2 * (beta + gamma)]`. The column
        term is the same number in all of them.
    """
    if valid is not None:
        # What is masked may be NaN, which would reach every column and every gradient.
        chosen = ops.expand_dims(valid, axis=-1)
        teacher_logits = ops.where(chosen, teacher_logits, 0.0)
        student_logits = ops.where(chosen, student_logits, 0.0)
        valid = ops.reshape(valid, (-1, 1))
    classes = teacher_logits.shape[-1]
    teacher = ops.softmax(teacher_logits / temperature, axis=-1)
    student = ops.softmax(student_logits / temperature, axis=-1)
    rows = 1.0 - _correlation(teacher, student, axis=-1)
    columns = 1.0 - _correlation(
        ops.reshape(teacher, (-1, classes)), ops.reshape(student, (-1, classes)), 0, valid
    )
    return (beta * rows + gamma * ops.mean(columns)) * temperature**2


def _correlation(a: Any, b: Any, axis: int, valid: Any = None) -> Any:
    """Return Pearson's correlation along `axis`, 0 where one side is constant."""
    a, b = _centred(a, axis, valid), _centred(b, axis, valid)
    return ops.sum(a * b, axis=axis) / (norm(a, axis) * norm(b, axis) + _EPSILON)


def _centred(values: Any, axis: int, valid: Any) -> Any:
    weights = ops.ones_like(values) if valid is None else ops.cast(valid, values.dtype)
    weights = ops.broadcast_to(weights, ops.shape(values))
    mean = ops.divide_no_nan(
        ops.sum(weights * values, axis=axis, keepdims=True),
        ops.sum(weights, axis=axis, keepdims=True),
    )
    # The rounding of a constant is no direction; taken for one, its gradient would be of size 1e8.
    return ops.where(is_constant(values, axis, valid), 0.0, weights * (values - mean))


@keras.saving.register_keras_serializable(package="kd_keras")
class DIST(SoftenedLoss):
    r"""One minus Pearson's correlation of the predictions, by example and by class.

    ```
    p = softmax(teacher_logits / T),  q = softmax(student_logits / T)      (batch, classes)
    loss = T^2 * (beta * mean_i(1 - corr(p_i, q_i)) + gamma * mean_c(1 - corr(p_:c, q_:c)))
    ```

    The student need not copy the probabilities, only how they vary among the classes of an example
    (beta) and among the examples of a class (gamma). Correlations are invariant to scale and shift,
    which suits a teacher that is much stronger than the student.

    The value of an example is its own row term plus the column term of the batch, which is the same
    for all; `sample_weight` multiplies both, and an example of weight 0 still counts in the
    columns. With dense outputs the rows are positions, and the columns run over all positions of
    all examples; masked positions are left out of both. Under `tf.distribute` the columns are those
    of a replica. A constant row or column has the correlation 0 and no gradient: in a batch of 1
    the column term is gamma * T^2. One output unit is read as the logit of a binary class, of which
    a row tells only which class is the larger: there the columns teach.

    Published weights (torchdistill): temperature 1, beta 1 and gamma 1 on ImageNet; on CIFAR-100
    temperature 4, beta 2 and gamma 2; beside a student loss of weight 1 (`combine="sum"`).

    Args:
        temperature: T, from 0.001 to 1000.
        beta: Weight >= 0 of the row term.
        gamma: Weight >= 0 of the column term.
        teacher_layer_name: Where the teacher's logits are, if not its output (see `Loss`).
        student_layer_name: Where the student's logits are, if not its output.

    Raises:
        ValueError: If an argument is out of range.

    Example:

    >>> import kd_keras, numpy as np
    >>> loss = kd_keras.losses.DIST(temperature=1.0, beta=1.0, gamma=0.0)
    >>> teacher, student = np.log([[0.2, 0.3, 0.5]]), np.log([[0.5, 0.3, 0.2]])
    >>> round(float(loss.compute_loss(teacher, student)), 4)  # 1 + 13 / 14
    1.9286

    Reference: Huang et al., "Knowledge Distillation from A Stronger Teacher", NeurIPS 2022,
    arXiv:2205.10536.
    """

    saved_arguments = ("beta", "gamma")

    def __init__(
        self,
        temperature: Any = 1.0,
        beta: Any = 1.0,
        gamma: Any = 1.0,
        teacher_layer_name: str | None = None,
        student_layer_name: str | None = None,
    ):
        super().__init__(temperature, teacher_layer_name, student_layer_name)
        self.beta = checked_weight("beta", beta)
        self.gamma = checked_weight("gamma", gamma)

    def per_example(
        self, teacher_outputs: Any, student_outputs: Any, sample_weight: Any = None
    ) -> Any:
        """Return one loss value per example: its row term, and the column term of the batch."""
        masks = [mask_of(s) for s in keras.tree.flatten(student_outputs)]
        return self.sum_over_outputs(
            self._values, teacher_outputs, student_outputs, sample_weight, masks
        )

    def _values(self, teacher_logits: Any, student_logits: Any, mask: Any) -> Any:
        valid = None
        if mask is not None:
            positions = student_logits[..., 0]
            mask = match_rank(ops.cast(mask, "float32"), positions)
            valid = ops.broadcast_to(mask > 0, ops.shape(positions))
        return dist(
            two_classes_if_binary(teacher_logits),
            two_classes_if_binary(student_logits),
            self.temperature,
            self.beta,
            self.gamma,
            valid,
        )
