"""What a step minimises: the label loss and the weighted distillation losses, a pure function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf
from keras import ops

from kd_keras.compat.structure import mask_of
from kd_keras.training import labels, mixing, replicas
from kd_keras.training.batch import SAMPLE_INDEX, Answer, Batch
from kd_keras.training.masks import masked_further
from kd_keras.training.outputs import (
    ClassOutputs,
    class_outputs,
    refuse_softmax_of_independent,
)
from kd_keras.training.term import Term
from kd_keras.training.validation import check_output_shapes
from kd_keras.training.weighing import Weighing


class Opinion(NamedTuple):
    """What a teacher's answer is worth: scalars, `None` where nothing can be said of it."""

    agreement: Any  # share of positions where student and teacher pick the same class, and how many
    positions: Any
    accuracy: Any  # share of labelled positions where the teacher is right, and how many
    labelled: Any
    broken: Any  # how many of its outputs are not finite


class Losses(NamedTuple):
    """The parts of one step's loss: scalars, all but `objective` as if there were one replica.

    Where no teacher answered, all parts of the distillation are `None`, and `terms` is empty.
    """

    objective: Any  # what is minimised, scaled so that the replicas' gradients add up
    total: Any
    student: Any
    distillation: Any
    terms: list[Any]
    teacher: Opinion | None
    members: dict[str, Opinion]  # of each teacher, where there are several


def named_losses(losses: Losses) -> dict[str, Any]:
    """Return the losses that must be finite for a step to count, by their names in the logs."""
    if losses.distillation is None:
        return {"loss": losses.objective}
    return {"student_loss": losses.student, "distillation_loss": losses.distillation}


class Goal(NamedTuple):
    """What the parts of an objective are made of.

    Attributes:
        terms: The distillation losses.
        weighing: Combines them with the label loss.
        label_loss: Called as (y_true, y_pred, sample_weight), averages; `None` where labels do not
            teach.
        compiled: The loss as it was given to `compile`, for what it says of the labels.
        student: The student itself, which knows the names of its outputs.
        regularisers: Returns the additional losses, scaled for distribution.
        teacher: Who teaches, or `None`.
    """

    terms: Sequence[Term]
    weighing: Weighing
    label_loss: Callable[..., Any] | None
    compiled: Any
    student: Any
    regularisers: Callable[[], list[Any]]
    teacher: Any = None


def objective(
    goal: Goal, batch: Batch, teacher: Answer | None, student: Answer, step: Any, training: bool
) -> Losses:
    """Return the parts of the loss of one batch.

    ```
    combine="convex":  w * student + (1 - w) * sum_i(weight_i * distillation_i) + R
    combine="sum":     student + sum_i(weight_i * distillation_i) + R
    ```

    Args:
        goal: What is minimised.
        batch: What the networks saw.
        teacher: What the teacher said of it; `None` without one, or where it has nothing to say.
        student: What the student said of it.
        step: The count of steps, for what is scheduled.
        training: What the losses are told, as dropout is.

    Raises:
        ValueError: If teacher and student do not fit together.
    """
    weight = batch.weight
    student_loss = tf.zeros(())
    if goal.label_loss is not None and batch.y is not None:
        y_pred = labels.labelled_outputs(batch.y, student.outputs, goal.student)
        loss = mixing.label_loss(goal.label_loss, batch, y_pred)
        student_loss = tf.cast(loss, tf.float32) * replicas.count()
    added = [tf.cast(loss, tf.float32) for loss in goal.regularisers()]
    if teacher is None:
        value = tf.add_n([replicas.share_of_replica(student_loss), *added])
        total = value * replicas.count()
        return Losses(value, total, student_loss, None, [], None, {})
    names = [None, *teacher.members]
    chosen = {name: _compared(goal, batch, name, teacher.of(name), student) for name in names}
    labelled = labels.ignored_positions(goal.compiled, batch.y, student.logits)
    student = student._replace(logits=masked_further(student.logits, labelled))
    if batch.mix is not None:
        weight = mixing.mixed_weight(weight, batch.mix)
    inputs = {
        "x": batch.x,
        "y": batch.y,
        "sample_weight": weight,
        "training": training,
        SAMPLE_INDEX: batch.extras.get(SAMPLE_INDEX),
    }

    def value_of(term: Term) -> Any:
        heard = teacher.of(term.teacher)
        values = [
            term.value(said, student, inputs, step, goal.student, chosen[term.teacher])
            for said in heard.rounds or (heard,)
        ]
        return values[0] if len(values) == 1 else tf.add_n(values) / len(values)

    terms = [value_of(term) for term in goal.terms]
    opinions = {
        name: _opinion(goal, batch, said, student, chosen[name])
        for name, said in teacher.members.items()
    }
    weighed = goal.weighing(student_loss, terms, step)
    value = tf.add_n([replicas.share_of_replica(weighed.objective), *added])
    return Losses(
        value,
        value * replicas.count(),
        student_loss,
        weighed.distillation,
        terms,
        _opinion(goal, batch, teacher, student, chosen[None]),
        opinions,
    )


def _compared(
    goal: Goal, batch: Batch, name: str | None, teacher: Answer, student: Answer
) -> ClassOutputs:
    """Return which outputs the losses of one teacher compare as classes, after checking them."""
    terms = [term for term in goal.terms if term.teacher == name]
    chosen = class_outputs(
        goal.compiled, batch.y, teacher.logits, student.logits, terms or goal.terms
    )
    check_output_shapes(chosen.of(teacher.logits), chosen.of(student.logits), terms)
    refuse_softmax_of_independent(terms, chosen)
    if chosen.independent and goal.teacher is not None:
        goal.teacher.refuse_independent_labels()
    return chosen


def _opinion(
    goal: Goal, batch: Batch, teacher: Answer, student: Answer, chosen: ClassOutputs
) -> Opinion:
    agreement: tuple[Any, Any] = (None, None)
    if not chosen.independent:  # of labels that do not compete none is picked
        agreement = top1_agreement(chosen.of(teacher.logits), chosen.of(student.logits))
    # The student's mask: a teacher that runs as a graph of constants has lost its own.
    mask = None if keras.tree.is_nested(student.logits) else mask_of(student.logits)
    accuracy = labels.accuracy(goal.compiled, batch.y, teacher.logits, mask)
    broken = sum(
        tf.math.count_nonzero(~tf.math.is_finite(tf.cast(leaf, tf.float32)), dtype=tf.int32)
        for leaf in keras.tree.flatten(teacher.logits)
    )
    return Opinion(*agreement, *accuracy, broken)


def top1_agreement(teacher: Any, student: Any) -> tuple[Any, Any]:
    """Return (share of positions where both pick the same class, number of positions).

    Args:
        teacher: The teacher's logits.
        student: The student's logits, the same structure.

    Returns:
        Float32 scalars; `(None, None)` where no output of both has the same classes.
    """
    same, number = ops.zeros((), "float32"), ops.zeros((), "float32")
    compared = False
    for theirs, ours in zip(keras.tree.flatten(teacher), keras.tree.flatten(student), strict=False):
        if tuple(theirs.shape)[1:] != tuple(ours.shape)[1:] or len(ours.shape) < 2:
            continue
        compared = True
        hits = ops.cast(ops.equal(labels.top_one(theirs), labels.top_one(ours)), "float32")
        mask = mask_of(ours)
        counted = ops.ones_like(hits)
        if mask is not None and len(mask.shape) == len(hits.shape):
            counted = ops.cast(mask, "float32")
        same = same + ops.sum(hits * counted)
        number = number + ops.sum(counted)
    return (ops.divide_no_nan(same, number), number) if compared else (None, None)
