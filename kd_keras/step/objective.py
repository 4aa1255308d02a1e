"""The distillation losses of a Distiller: their names, inputs, weights and layers."""

from __future__ import annotations

import functools
import inspect
import re
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf
from keras import ops

from kd_keras.losses.base import mean_or_zero
from kd_keras.losses.output_kind import output_kind
from kd_keras.losses.schedules import loss_at_step
from kd_keras.losses.trainable import TrainableLoss
from kd_keras.step import replicas
from kd_keras.step.input_gradients import Forward
from kd_keras.step.masks import cast_with_mask


class StepLosses(NamedTuple):
    """The parts of one step's loss: scalars, all but `objective` as if there were one replica."""

    objective: Any  # what is minimised, scaled so that the replicas' gradients add up
    total: Any
    student: Any
    distillation: Any
    terms: list[Any]
    agreement: Any
    positions: Any
    gaps: Any  # (batch,), or None where nobody asks


class Term:
    """One distillation loss as the Distiller sees it.

    A plain object, so that Keras does not track what is in it; the Distiller tracks `layers`.
    """

    def __init__(self, loss: Any, weight: Any, name: str):
        self.loss = loss
        self.weight = weight
        self.name = name
        self.inputs = _named_inputs(getattr(loss, "per_example", loss.compute_loss))
        self._warned = False

    # Read when asked for: a loss knows the names of its taps once it has seen the models.
    @property
    def teacher_tap(self) -> Any:
        """What is tapped of the teacher: a name, a tuple of names, or `None` for its output."""
        return getattr(self.loss, "teacher_layer_name", None)

    @property
    def student_tap(self) -> Any:
        """The same of the student."""
        return getattr(self.loss, "student_layer_name", None)

    @property
    def layers(self) -> list[Any]:
        """The Keras layers that the loss owns (a projection, a critic)."""
        owned = keras.tree.flatten(list(vars(self.loss).values()))
        return [value for value in owned if isinstance(value, keras.Layer)]

    @property
    def wants_input_gradients(self) -> bool:
        """Whether the loss asks for a network's gradient at the inputs."""
        return bool(self.inputs & {"teacher_input_gradient", "student_input_gradient"})

    def build(self, teacher: Forward, student: Forward) -> None:
        """Build the layers of a `TrainableLoss` for the outputs and taps of both models."""
        if isinstance(self.loss, TrainableLoss) and not self.loss.built:
            shapes = [
                [tuple(tensor.shape) for tensor in keras.tree.flatten(_pick(outputs, tap))]
                for outputs, tap in ((teacher, self.teacher_tap), (student, self.student_tap))
            ]
            self.loss.build(*shapes)

    def value(
        self,
        teacher: Forward,
        student: Forward,
        inputs: dict[str, Any],
        step: Any,
        model: Any = None,
    ) -> Any:
        """Return the scalar loss of this replica's batch, not scaled for distribution.

        Args:
            teacher: The teacher's outputs and taps.
            student: The student's outputs and taps.
            inputs: What a loss may ask for by name: `x`, `y`, `sample_weight`,
                `training`, `sample_index`.
            step: The count of steps, for what is scheduled.
            model: The student itself, which knows the names of its outputs.
        """
        teacher_outputs = cast_with_mask(_pick(teacher, self.teacher_tap), "float32")
        student_outputs = cast_with_mask(_pick(student, self.student_tap), "float32")
        self.loss.validate_outputs(teacher_outputs, student_outputs)
        sample_weight = inputs["sample_weight"]
        if self.student_tap is not None and keras.tree.is_nested(sample_weight):
            names = getattr(model, "output_names", ())
            sample_weight = _weight_of_tap(sample_weight, self.student_tap, names)
        inputs = {**inputs, "sample_weight": sample_weight}
        for role, forward, tap in (
            ("teacher", teacher, self.teacher_tap),
            ("student", student, self.student_tap),
        ):
            if forward.input_gradient is not None:
                gradient = functools.partial(forward.input_gradient, tap=tap)
                inputs[f"{role}_input_gradient"] = gradient
        wanted = {name: inputs[name] for name in self.inputs if name in inputs}
        loss = loss_at_step(self.loss, step)
        if hasattr(loss, "per_example"):
            values = loss.per_example(teacher_outputs, student_outputs, **wanted)
            if len(values.shape) != 1:
                raise ValueError(
                    f"`{type(self.loss).__name__}.per_example` must return one value per example, "
                    f"shape (batch,). Received: shape {tuple(values.shape)}. Average the other "
                    "dimensions inside it."
                )
            if sample_weight is not None and "sample_weight" not in self.inputs:
                values = values * _weight_per_example(sample_weight)
            return mean_or_zero(values)
        if sample_weight is not None and not self._warned:
            self._warned = True
            warnings.warn(
                f"The distillation loss {type(self.loss).__name__!r} returns only a scalar, so "
                "`sample_weight` and `class_weight` do not act on it. Give it a "
                "`per_example(teacher_outputs, student_outputs)` method that returns one value per "
                "example, or use a loss of `kd_keras.losses`.",
                UserWarning,
                stacklevel=2,
            )
        with replicas.undivided_losses():
            value = loss.compute_loss(teacher_outputs, student_outputs, **wanted)
        value = ops.convert_to_tensor(value, dtype="float32")
        if len(value.shape) > 0:
            raise ValueError(
                f"Distillation loss {type(self.loss).__name__} returned a non-scalar loss with "
                f"shape {tuple(value.shape)}. `compute_loss` must return a scalar; return values "
                "per example from `per_example` instead."
            )
        if replicas.count() > 1:
            # A replica gets no examples where the last batch has fewer than there are replicas; a
            # mean over them is 0 / 0.
            examples = ops.shape(keras.tree.flatten(student_outputs)[0])[0]
            value = ops.where(ops.equal(examples, 0), 0.0, value)
        return value * _share_of_sum(self.loss)


def make_terms(losses: Sequence[Any], weights: Sequence[Any]) -> list[Term]:
    """Return a `Term` for each loss, with log names that are unique."""
    terms: list[Term] = []
    for loss, weight in zip(losses, weights, strict=True):
        base = _snake_case(type(loss).__name__)
        taken = {term.name for term in terms}
        number = next(i for i in range(len(losses) + 1) if _numbered(base, i) not in taken)
        terms.append(Term(loss, weight, _numbered(base, number)))
    return terms


def top1_agreement(
    teacher: tuple[Any, Any], student: tuple[Any, Any], names: Sequence[str] | None
) -> tuple[Any, Any]:
    """Return (share of positions where both pick the same class, number of positions).

    Args:
        teacher: The teacher, which may tell logits from probabilities, and its outputs.
        student: The student and its outputs, the same structure.
        names: Keys of dict outputs to look at, as `check_output_shapes` returns them.
    """
    picks = []
    for model, outputs in (teacher, student):
        if names is None:
            kind = output_kind(model)
            picks.append([(leaf, kind) for leaf in keras.tree.flatten(outputs)])
        else:
            picks.append([(outputs[name], output_kind(model, name)) for name in names])
    same, number = ops.zeros((), "float32"), ops.zeros((), "float32")
    for (teacher_logits, teacher_kind), (student_logits, student_kind) in zip(*picks, strict=False):
        if teacher_logits.shape[-1] != student_logits.shape[-1]:
            continue
        agreed = ops.equal(_top1(teacher_logits, teacher_kind), _top1(student_logits, student_kind))
        hits = ops.cast(agreed, "float32")
        mask = getattr(student_logits, "_keras_mask", None)
        counted = ops.ones_like(hits)
        if mask is not None and len(mask.shape) == len(hits.shape):
            counted = ops.cast(mask, "float32")
        same = same + ops.sum(hits * counted)
        number = number + ops.sum(counted)
    return ops.divide_no_nan(same, number), number


def _top1(logits: Any, kind: str | None) -> Any:
    if logits.shape[-1] == 1:
        threshold = 0.5 if kind == "probabilities" else 0.0
        return ops.cast(ops.squeeze(logits, axis=-1) > threshold, "int32")
    return ops.argmax(logits, axis=-1)


def _pick(forward: Forward, tap: str | tuple[str, ...] | None) -> Any:
    if isinstance(tap, tuple):
        return [forward.taps[name] for name in tap]
    return forward.outputs if tap is None else forward.taps[tap]


def _named_inputs(function: Any) -> set[str]:
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = inspect.signature(function).parameters.values()
    return {p.name for p in parameters if p.kind in kinds}


def _weight_of_tap(
    sample_weight: Any, tap: str | tuple[str, ...], output_names: Sequence[str]
) -> Any:
    """Return the weights of the output that is tapped, of another layer the outputs' average."""
    if not isinstance(sample_weight, dict) and len(sample_weight) == len(output_names):
        sample_weight = dict(zip(output_names, sample_weight, strict=True))
    if isinstance(sample_weight, dict) and sample_weight.get(tap) is not None:
        return sample_weight[tap]
    return _weight_per_example(sample_weight)


def _weight_per_example(sample_weight: Any) -> Any:
    """Average weights per position (or per output) to one weight per example."""
    leaves = []
    for leaf in keras.tree.flatten(sample_weight):
        weight = ops.cast(leaf, "float32")
        further = tuple(range(1, len(weight.shape)))
        leaves.append(ops.mean(weight, axis=further) if further else weight)
    return sum(leaves[1:], start=leaves[0]) / len(leaves)


def _share_of_sum(loss: Any) -> float:
    """Return what makes a loss that sums over its batch add up over the replicas.

    The Distiller averages the replicas; the sum of their sums is that average times their number.
    """
    kinds = (keras.distillation.LogitsDistillation, keras.distillation.FeatureDistillation)
    if replicas.count() == 1 or not isinstance(loss, kinds):
        return 1.0
    reductions = [getattr(leaf, "reduction", None) for leaf in keras.tree.flatten(loss.loss)]
    sums = {reduction == "sum" for reduction in reductions}
    if len(sums) > 1:
        raise ValueError(
            f"{type(loss).__name__} mixes losses that sum over the batch with others, which add up "
            "differently under a distribution strategy. Received: "
            f"loss={loss.loss}. Use reduction='sum_over_batch_size' for all outputs."
        )
    return float(replicas.count()) if sums == {True} else 1.0


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _numbered(base: str, number: int) -> str:
    return base if number == 0 else f"{base}_{number}"


def per_replica_share(value: tf.Tensor) -> tf.Tensor:
    """Scale this replica's mean so that the sum over replicas is the mean of the global batch."""
    return value / float(replicas.count())
