"""What a Distiller refuses before anything is trained."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import keras

from kd_keras.losses.base import Loss
from kd_keras.losses.schedules import is_schedule
from kd_keras.step.objective import Term
from kd_keras.teachers.inference import MODES


def check_models(teacher: Any, student: Any) -> None:
    """Raise `ValueError` unless teacher and student fit together as far as their graphs tell."""
    if not isinstance(teacher, keras.Layer):
        raise ValueError(
            f"`teacher` must be a keras.Model (or a keras.Layer). Received: {type(teacher)}."
        )
    if not isinstance(student, keras.Model):
        raise ValueError(f"`student` must be a keras.Model. Received: {type(student)}.")
    _check_shapes("input", _symbolic(teacher, "inputs"), _symbolic(student, "inputs"))
    _check_shapes("output", _symbolic(teacher, "outputs"), _symbolic(student, "outputs"))


def check_output_shapes(
    teacher_outputs: Any, student_outputs: Any, loss: Any, y: Any, terms: Sequence[Term]
) -> list[str] | None:
    """Raise `ValueError` when the outputs of a step differ in the number of classes.

    Args:
        teacher_outputs: All outputs, any structure.
        student_outputs: The same.
        loss: The compiled loss, as given.
        y: Labels, or `None`.
        terms: The distillation losses.

    Returns:
        The keys of dict outputs that hold classes; `None` where the outputs are no dicts.
    """
    names = _class_outputs(teacher_outputs, student_outputs, loss, y, terms)
    if names is not None:
        teacher_outputs = [teacher_outputs[name] for name in names]
        student_outputs = [student_outputs[name] for name in names]
    _check_shapes(
        "output", keras.tree.flatten(teacher_outputs), keras.tree.flatten(student_outputs)
    )
    return names


def check_balance(balance: Any) -> str | None:
    if balance not in (None, "ema"):
        raise ValueError(
            "`balance` must be None (weights act on the losses as they are) or 'ema' (each loss is "
            f"divided by a running mean of its size first). Received: balance={balance!r}."
        )
    return balance


def check_teacher_inference(mode: Any) -> str:
    if mode not in MODES:
        raise ValueError(
            "`teacher_inference` must be 'auto' (a graph of constants where that is exact), "
            "'keras' (the Keras model as it is) or 'bfloat16' (a graph of constants in bfloat16). "
            f"Received: teacher_inference={mode!r}."
        )
    return mode


def check_student_loss_weight(weight: Any, combine: str) -> Any:
    if combine not in ("convex", "sum"):
        raise ValueError(
            "`combine` must be 'convex' (w * student + (1 - w) * distillation) or 'sum' (student + "
            f"distillation). Received: combine={combine!r}."
        )
    if is_schedule(weight) and combine == "convex":
        return weight
    if not isinstance(weight, (int, float)) or isinstance(weight, bool):
        raise ValueError(
            "`student_loss_weight` must be a number from 0.0 to 1.0, or with combine='convex' a "
            f"`keras.optimizers.schedules.LearningRateSchedule`. Received: {weight!r} of type "
            f"{type(weight)}."
        )
    if not 0.0 <= weight <= 1.0:
        raise ValueError(
            "`student_loss_weight` must be between 0.0 and 1.0. Received: "
            f"student_loss_weight={weight}. For weights above 1 use combine='sum' and "
            "`distillation_loss_weights`."
        )
    if combine == "sum" and weight not in (0, 0.5, 1):
        raise ValueError(
            "With combine='sum' the student's loss has weight 1 (0 switches it off). Received: "
            f"student_loss_weight={weight}. Scale `distillation_loss_weights` instead, or use "
            "combine='convex'."
        )
    return weight


def check_losses(losses: Any) -> list[Any]:
    """Return the distillation losses as a list, or raise `ValueError`."""
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


def check_loss_weights(weights: Any, losses: Sequence[Any]) -> list[Any]:
    """Return one weight for each loss, or raise `ValueError`."""
    if weights is None:
        return [1.0] * len(losses)
    weights = list(weights) if isinstance(weights, (list, tuple)) else [weights]
    if len(weights) != len(losses):
        raise ValueError(
            f"The number of `distillation_loss_weights` ({len(weights)}) must match the number of "
            f"`distillation_losses` ({len(losses)})."
        )
    for weight in weights:
        if is_schedule(weight):
            continue
        if not isinstance(weight, (int, float)) or isinstance(weight, bool) or weight < 0:
            raise ValueError(
                "`distillation_loss_weights` must be numbers >= 0 or schedules (a "
                "`keras.optimizers.schedules.LearningRateSchedule`). Received: "
                f"distillation_loss_weights={weights}."
            )
    return weights


def check_compatibility(terms: Sequence[Term], teacher: Any, student: Any) -> None:
    """Let each loss look at the models."""
    keras_feature = keras.distillation.FeatureDistillation.validate_model_compatibility
    for term in terms:
        if isinstance(term.loss, Loss):
            term.loss.attach(teacher, student)
            continue
        check = term.loss.validate_model_compatibility
        # Keras's check refuses unbuilt Sequential models and subclassed models that return their
        # taps in a dict; both work here, and taps are checked when they are resolved.
        if getattr(check, "__func__", None) is not keras_feature:
            check(teacher, student)


def warn_of_broken_losses(losses: Sequence[Any]) -> None:
    """Warn of each LogitsDistillation of Keras 3.15 with "kl_divergence" as a plain function."""
    for loss in losses:
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


def _class_outputs(
    teacher: Any, student: Any, loss: Any, y: Any, terms: Sequence[Term]
) -> list[str] | None:
    # Those with labels, if names tell which; else all but the taps of losses between features,
    # which subclassed models return in the same dict and which may differ.
    if not (isinstance(teacher, dict) and isinstance(student, dict)):
        return None
    common = [name for name in student if name in teacher]
    if isinstance(loss, dict):
        return [name for name in common if loss.get(name) is not None]
    if isinstance(y, dict):
        return [name for name in common if name in y]
    features = [term for term in terms if not getattr(term.loss, "expects_logits", False)]
    taps = set(keras.tree.flatten([(term.teacher_tap, term.student_tap) for term in features]))
    return [name for name in common if name not in taps]


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
        remedy = "Both must take the same images."
        if context == "output":
            remedy = (
                "Both must predict the same classes: give the student's last layer "
                f"{teacher_shape[-1]} units."
            )
        raise ValueError(
            f"Teacher and student {context} shapes are incompatible. Received: teacher "
            f"{teacher_shape}, student {student_shape}. {remedy}"
        )
