"""One distillation loss in one Distiller: what it is given, and a copy of its own to work on."""

from __future__ import annotations

import copy
import functools
import inspect
import itertools
import re
import warnings
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kd_keras.compat.strategy import as_if_alone
from kd_keras.losses.contract.base import Loss, mean_or_zero
from kd_keras.losses.contract.logit_form import as_logits
from kd_keras.losses.contract.output_kind import kinds_in_graph
from kd_keras.losses.contract.schedules import loss_at_step
from kd_keras.losses.contract.trainable import TrainableLoss
from kd_keras.training import replicas
from kd_keras.training.batch import Answer
from kd_keras.training.masks import cast_with_mask
from kd_keras.training.outputs import (
    ALL_OUTPUTS,
    ClassOutputs,
)

# The Distiller logs these itself, whatever a loss is called.
OWN_NAMES = frozenset(
    (
        "loss",
        "student_loss",
        "distillation_loss",
        "total_loss",
        "agreement",
        "teacher_accuracy",
        "teacher_loss",
    )
)


class Term:
    """One distillation loss as the Distiller sees it.

    A plain object, so that Keras does not track what is in it; the Distiller tracks `layers`. It
    works on a copy: what a user passes is a description, and taps, layers and memories belong to
    one Distiller.

    Args:
        loss: What the user passed.
        weight: Its weight, a number or a schedule.
        name: What it is logged as.
        teacher: Whose loss it is, where several teachers have losses of their own.
    """

    def __init__(self, loss: Any, weight: Any, name: str, teacher: str | None = None):
        self.loss = own_copy(loss)
        self.teacher = teacher
        self.weight = weight
        self.name = name
        self.inputs = _named_inputs(getattr(loss, "per_example", loss.compute_loss))
        self._warned = False
        self._tap_kinds: list[Any] = [None, None]

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

    @property
    def expects_logits(self) -> bool:
        """Whether the loss is one between logits."""
        keras_own = isinstance(self.loss, keras.distillation.LogitsDistillation)
        return keras_own or bool(getattr(self.loss, "expects_logits", False))

    @property
    def matches_outputs(self) -> bool:
        """Whether the loss compares the outputs of both networks."""
        return self.teacher_tap is None and self.student_tap is None

    @property
    def ignores_a_shift(self) -> bool:
        """Whether a constant added to all logits of an example changes nothing."""
        if isinstance(self.loss, keras.distillation.LogitsDistillation):
            leaves = keras.tree.flatten(self.loss.loss)
            return all(isinstance(leaf, keras.losses.KLDivergence) for leaf in leaves)
        return bool(getattr(self.loss, "shift_invariant", False))

    def attach(self, teacher: Any, student: Any) -> None:
        """Let the loss look at the models, before anything runs.

        Raises:
            ValueError: If a tap is no part of a model, or the models do not suit the loss.
        """
        if isinstance(self.loss, Loss):
            self.loss.attach(teacher, student)
        else:
            check = self.loss.validate_model_compatibility
            keras_feature = keras.distillation.FeatureDistillation.validate_model_compatibility
            # Keras's check refuses unbuilt Sequential models and subclassed models that return
            # their taps in a dict; both work here, and taps are checked when they are resolved.
            if getattr(check, "__func__", None) is not keras_feature:
                check(teacher, student)
        # A tapped output may end in a softmax as the whole network may.
        self._tap_kinds = [
            kinds_in_graph(model, tap) if isinstance(tap, str) else None
            for model, tap in ((teacher, self.teacher_tap), (student, self.student_tap))
        ]

    def _matched(self, answer: Answer, tap: Any, side: int, chosen: ClassOutputs) -> Any:
        """Return what the loss compares: logits where it wants them, else outputs as they are."""
        if tap is None:
            return chosen.of(answer.logits) if self.expects_logits else answer.outputs
        kinds = self._tap_kinds[side]
        if self.expects_logits and kinds is not None and len(kinds) == 1:
            return as_logits(answer.taps[tap], kinds[0])
        return _pick(answer, tap)

    def build(self, teacher: Answer, student: Answer) -> None:
        """Build the layers of a `TrainableLoss` for the outputs and taps of both models."""
        if isinstance(self.loss, TrainableLoss) and not self.loss.built:
            shapes = [
                [tuple(tensor.shape) for tensor in keras.tree.flatten(_pick(outputs, tap))]
                for outputs, tap in ((teacher, self.teacher_tap), (student, self.student_tap))
            ]
            self.loss.build(*shapes)

    def value(
        self,
        teacher: Answer,
        student: Answer,
        inputs: dict[str, Any],
        step: Any,
        model: Any = None,
        chosen: ClassOutputs = ALL_OUTPUTS,
    ) -> Any:
        """Return the scalar loss of this replica's batch, not scaled for distribution.

        Args:
            teacher: The teacher's outputs and taps.
            student: The student's outputs and taps.
            inputs: What a loss may ask for by name: `x`, `y`, `sample_weight`,
                `training`, `sample_index`.
            step: The count of steps, for what is scheduled.
            model: The student itself, which knows the names of its outputs.
            chosen: The outputs that hold classes, for losses between logits.
        """
        teacher_outputs, student_outputs = (
            cast_with_mask(self._matched(answer, tap, side, chosen), "float32")
            for side, (answer, tap) in enumerate(
                ((teacher, self.teacher_tap), (student, self.student_tap))
            )
        )
        self.loss.validate_outputs(teacher_outputs, student_outputs)
        sample_weight = inputs["sample_weight"]
        if self.student_tap is not None and keras.tree.is_nested(sample_weight):
            names = getattr(model, "output_names", ())
            sample_weight = _weight_of_tap(sample_weight, self.student_tap, names)
        elif self.expects_logits and keras.tree.is_nested(sample_weight):
            sample_weight = chosen.of(sample_weight)
        inputs = {**inputs, "sample_weight": sample_weight}
        for role, answer, tap in (
            ("teacher", teacher, self.teacher_tap),
            ("student", student, self.student_tap),
        ):
            if answer.input_gradient is not None:
                gradient = functools.partial(answer.input_gradient, tap=tap)
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
        with as_if_alone():
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


def make_terms(losses: Any, weights: Any) -> list[Term]:
    """Return a `Term` for each loss, with log names that are unique.

    Args:
        losses: A list of them, or one for each teacher by its name.
        weights: The same of their weights.
    """
    by_name = losses if isinstance(losses, dict) else {None: losses}
    of_names = weights if isinstance(losses, dict) else {None: weights}
    taken = {"", *OWN_NAMES}
    taken |= {f"{name}_{log}" for name in by_name for log in ("agreement", "teacher_accuracy")}
    terms: list[Term] = []
    for name, own in by_name.items():
        for loss, weight in zip(own, of_names[name], strict=True):
            base = _snake_case(type(loss).__name__)
            base = base if name is None else f"{name}_{base}"
            logged = next(
                _numbered(base, i) for i in itertools.count() if _numbered(base, i) not in taken
            )
            taken.add(logged)
            terms.append(Term(loss, weight, logged, name))
    return terms


def _pick(answer: Answer, tap: str | tuple[str, ...] | None) -> Any:
    if isinstance(tap, tuple):
        return [answer.taps[name] for name in tap]
    return answer.outputs if tap is None else answer.taps[tap]


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


def own_copy(loss: Any) -> Any:
    """Return a copy of a loss with layers of its own, new ones, as the loss was made with.

    Taps that are layers stay those of the models. A loss that was used before leaves what it learnt
    behind: neither a fold nor a trial may begin with the adapters of another one.
    """
    mine = copy.copy(loss)
    for name, value in vars(loss).items():
        if name in ("teacher_layer_name", "student_layer_name"):
            continue
        if any(isinstance(leaf, keras.Layer) for leaf in keras.tree.flatten(value)):
            setattr(mine, name, keras.tree.map_structure(_anew, value))
    return mine


def _anew(value: Any) -> Any:
    """Return a new layer like `value`, with its weights if it has some; other values as they are.

    A network that does not train is shared, and so is a layer that cannot say how it was made.
    """
    if not isinstance(value, keras.Layer) or (value.built and not value.trainable_weights):
        return value
    try:
        new = type(value).from_config(value.get_config())
    except (NotImplementedError, TypeError):
        if value.built:
            warnings.warn(
                f"The layer {value.name!r} inside a loss has no `get_config` to make another one "
                "of it, so what it has learnt stays in it when the loss is used again. Write "
                "`get_config`, or make a new loss for each Distiller.",
                UserWarning,
                stacklevel=2,
            )
        return value
    if value.built:
        new.build_from_config(value.get_build_config())
        new.set_weights(value.get_weights())
    return new
