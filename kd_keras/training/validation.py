"""What a Distiller refuses before anything is trained."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import partial
from typing import Any

import keras

from kd_keras.arguments import check_number
from kd_keras.losses.contract.schedules import checked_weight, number_or_schedule


def check_models(teacher: Any, student: Any) -> None:
    """Raise `ValueError` unless teacher and student are Keras networks."""
    if not isinstance(teacher, keras.Layer):
        raise ValueError(
            f"`teacher` must be a keras.Model (or a keras.Layer). Received: {type(teacher)}."
        )
    if not isinstance(student, keras.Model):
        raise ValueError(f"`student` must be a keras.Model. Received: {type(student)}.")


def refuse_preprocessor(role: str, model: Any, inputs: Any, argument: str) -> None:
    """Raise for a KerasHub task that preprocesses in its own `fit`, which is not called here.

    Args:
        role: "teacher" or "student".
        model: The network.
        inputs: What it takes of x; where it says so, the user knows.
        argument: Name of the argument that says so.

    Raises:
        ValueError: If the network has a preprocessor and nothing says what it takes.
    """
    preprocessor = getattr(model, "preprocessor", None)
    if preprocessor is None or inputs is not None or not hasattr(model, "backbone"):
        return
    own = f"kd_keras.teachers.Frozen(teacher, {argument}=teacher.preprocessor)"
    raise ValueError(
        f"The {role} {model.name!r} has a preprocessor ({type(preprocessor).__name__}), which it "
        "uses in its own `fit` and `predict` and not when it is called: here it would see raw "
        "data. Preprocess the data, `data.map(lambda x, y: (model.preprocessor(x), y))`, and say "
        "so: `model.preprocessor = None`."
        + (f" Or let it preprocess in the step: {own}." if role == "teacher" else "")
    )


def check_shapes(teacher: Any, student: Any, terms: Sequence[Any], student_inputs: Any) -> None:
    """Raise `ValueError` unless teacher and student fit together as far as their graphs tell.

    Args:
        teacher: A description of a teacher: `Frozen`, `ReplayTeacher`.
        student: The student.
        terms: The distillation losses. Only those between outputs ask for the same classes.
        student_inputs: As the Distiller takes it.
    """
    members = getattr(teacher, "members", {})
    for name, member in members.items():
        own = [term for term in terms if term.teacher == name or term.teacher not in members]
        check_shapes(member, student, own, student_inputs)
    if members:
        return
    model = getattr(teacher, "model", teacher)
    refuse_preprocessor("teacher", model, getattr(teacher, "inputs_form", None), "inputs")
    refuse_preprocessor("student", student, student_inputs, "student_inputs")
    if getattr(teacher, "inputs_form", None) is None and student_inputs is None:
        _check_shapes("input", _symbolic(model, "inputs"), _symbolic(student, "inputs"))
    is_mapped = getattr(teacher, "classes", None) is not None
    if not is_mapped and any(term.matches_outputs for term in terms):
        _check_shapes("output", _symbolic(model, "outputs"), _symbolic(student, "outputs"))


def check_output_shapes(teacher: Any, student: Any, terms: Sequence[Any]) -> None:
    """Raise `ValueError` when outputs that a loss compares differ in the number of classes.

    Args:
        teacher: The teacher's logits, any structure.
        student: The student's logits.
        terms: The distillation losses.
    """
    if any(term.matches_outputs for term in terms):
        _check_shapes("output", keras.tree.flatten(teacher), keras.tree.flatten(student))


def check_balance(balance: Any) -> str | None:
    if balance not in (None, "ema"):
        raise ValueError(
            "`balance` must be None (weights act on the losses as they are) or 'ema' (each loss is "
            f"divided by a running mean of its size first). Received: balance={balance!r}."
        )
    return balance


def check_student_loss_weight(weight: Any, combine: str) -> Any:
    if combine not in ("convex", "sum"):
        raise ValueError(
            "`combine` must be 'convex' (w * student + (1 - w) * distillation) or 'sum' (student + "
            f"distillation). Received: combine={combine!r}."
        )
    remedy = "For weights above 1 use combine='sum' and `distillation_loss_weights`."
    check = partial(check_number, low=0, high=1, remedy=remedy)
    if combine == "convex":
        return number_or_schedule("student_loss_weight", weight, check)
    remedy = "A schedule of it needs combine='convex'."
    weight = check("student_loss_weight", weight, remedy=remedy)
    if combine == "sum" and weight not in (0, 0.5, 1):
        raise ValueError(
            "With combine='sum' the student's loss has weight 1 (0 switches it off). Received: "
            f"student_loss_weight={weight}. Scale `distillation_loss_weights` instead, or use "
            "combine='convex'."
        )
    return weight


def check_losses(losses: Any, names: Sequence[str] | None = None) -> Any:
    """Return the distillation losses as a list, of named teachers as a dict of lists.

    Args:
        losses: As they were given.
        names: Of named teachers; `None` where the losses are of one teacher.

    Raises:
        ValueError: If they are no losses, or nobody knows whose they are.
    """
    if names is None:
        return _list_of_losses(losses)
    if not isinstance(losses, dict) or set(losses) != set(names):
        raise ValueError(
            f"`distillation_losses` of named teachers must say whose they are: a dict with {names}."
            f" Received: {losses!r}. To teach with one loss what all of them say together, pass "
            "teacher=kd_keras.teachers.Ensemble({...})."
        )
    return {name: _list_of_losses(losses[name]) for name in names}


def _list_of_losses(losses: Any) -> list[Any]:
    if losses is None:
        raise ValueError(
            "`distillation_losses` cannot be `None`. Pass a distillation loss, for example "
            "kd_keras.losses.KLDivergence(temperature=4.0), or a list of them."
        )
    losses = list(losses) if isinstance(losses, (list, tuple)) else [losses]
    if not losses:
        raise ValueError("`distillation_losses` must hold at least one loss. Received: [].")
    for loss in losses:
        if isinstance(loss, (keras.losses.Loss, str)):
            shown = f"{loss!r}" if isinstance(loss, str) else f"keras.losses.{type(loss).__name__}"
            raise ValueError(
                "`distillation_losses` takes distillation losses, which compare the student with "
                f"the teacher. Received: {shown}, which compares predictions with labels. For the "
                "labels pass it to `compile(loss=...)`; to compare features with the teacher's "
                "write `keras.distillation.FeatureDistillation(loss=...)`; for logits "
                "`kd_keras.losses.KLDivergence(temperature=4.0)`."
            )
        if not callable(getattr(loss, "compute_loss", None)):
            raise ValueError(
                "Each of `distillation_losses` must be a `keras.distillation.DistillationLoss` "
                f"with a `compute_loss(teacher_outputs, student_outputs)` method. Received: "
                f"{loss!r}."
            )
    return losses


def check_loss_weights(weights: Any, losses: Any) -> Any:
    """Return one weight for each loss, in the form of what `check_losses` returned, or raise."""
    if not isinstance(losses, dict):
        return _list_of_weights(weights, losses)
    if weights is not None and (not isinstance(weights, dict) or set(weights) != set(losses)):
        raise ValueError(
            "`distillation_loss_weights` of named teachers must be a dict as the losses are, with "
            f"{list(losses)}, or None for 1 each. Received: {weights!r}."
        )
    given = dict.fromkeys(losses) if weights is None else weights
    return {name: _list_of_weights(given[name], losses[name]) for name in losses}


def _list_of_weights(weights: Any, losses: Sequence[Any]) -> list[Any]:
    if weights is None:
        return [1.0] * len(losses)
    weights = list(weights) if isinstance(weights, (list, tuple)) else [weights]
    if len(weights) != len(losses):
        raise ValueError(
            f"The number of `distillation_loss_weights` ({len(weights)}) must match the number of "
            f"`distillation_losses` ({len(losses)})."
        )
    return [checked_weight("distillation_loss_weights", weight) for weight in weights]


def warn_of_broken_losses(losses: Any) -> None:
    """Warn of each LogitsDistillation of Keras 3.15 with "kl_divergence" as a plain function."""
    for loss in keras.tree.flatten(losses):
        if isinstance(loss, keras.distillation.LogitsDistillation) and any(
            leaf is keras.losses.kl_divergence for leaf in keras.tree.flatten(loss.loss)
        ):
            warnings.warn(
                "keras.distillation.LogitsDistillation with loss='kl_divergence' (its default) "
                "feeds raw logits / T into the KL divergence: no softmax, no T^2, and 0.0 when "
                "all logits are negative. Write kd_keras.losses.KLDivergence(temperature="
                f"{loss.temperature}), or keras.distillation.LogitsDistillation(temperature="
                f"{loss.temperature}, loss=keras.losses.KLDivergence()).",
                UserWarning,
                stacklevel=3,  # the line that makes the Distiller
            )


def _symbolic(model: Any, attribute: str) -> list[Any] | None:
    if isinstance(model, keras.Sequential) and not model.built:
        return None
    return getattr(model, attribute, None) or None


def _check_shapes(context: str, teacher: list[Any] | None, student: list[Any] | None) -> None:
    if teacher is None or student is None:
        return
    shapes = [[tuple(tensor.shape) for tensor in tensors] for tensors in (teacher, student)]
    if len(shapes[0]) != len(shapes[1]):
        raise ValueError(
            f"Teacher and student must have the same number of {context}s. Received: teacher "
            f"{shapes[0]}, student {shapes[1]}."
        )
    for teacher_shape, student_shape in zip(*shapes, strict=True):
        compatible = len(teacher_shape) == len(student_shape) and all(
            a is None or b is None or a == b
            for a, b in zip(teacher_shape, student_shape, strict=True)
        )
        if compatible:
            continue
        remedy = _remedy_for_inputs(teacher_shape, student_shape)
        if context == "output":
            remedy = (
                "Both must predict the same classes: give the student's last layer "
                f"{teacher_shape[-1]} units, or say which class of the teacher each class of the "
                "student is: teacher=kd_keras.teachers.Frozen(teacher, classes=[...])."
            )
        raise ValueError(
            f"Teacher and student {context} shapes are incompatible. Received: teacher "
            f"{teacher_shape}, student {student_shape}. {remedy}"
        )


def _remedy_for_inputs(teacher: tuple[Any, ...], student: tuple[Any, ...]) -> str:
    """Return the line to write for a teacher that takes other images than the student."""
    steps = []
    if len(teacher) == len(student) == 4 and None not in (*teacher[1:], *student[1:]):
        if (student[3], teacher[3]) == (1, 3):
            steps.append("x = keras.ops.repeat(x, 3, axis=-1)")
        elif (student[3], teacher[3]) == (3, 1):
            steps.append("x = keras.ops.image.rgb_to_grayscale(x)")
        elif student[3] != teacher[3]:
            return "Both must take the same channels."
        if student[1:3] != teacher[1:3]:
            steps.append(f"x = keras.ops.image.resize(x, {tuple(teacher[1:3])})")
    if not steps:
        return (
            "Both get the same x. Say what the teacher takes of it: "
            "teacher=kd_keras.teachers.Frozen(teacher, inputs=lambda x: ...), a function of x or a "
            "key of a dict x."
        )
    made = "x"
    for step in steps:
        made = step.removeprefix("x = ").replace("(x,", f"({made},").replace("(x)", f"({made})")
    return (
        "Both get the same x. To show the teacher its own size and channels: "
        f"teacher=kd_keras.teachers.Frozen(teacher, inputs=lambda x: {made})."
    )
