"""What every distillation loss of this package shares: config, validation, reduction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from kd_keras.arguments import saved_arguments
from kd_keras.compat.structure import mask_of
from kd_keras.losses.contract.output_kind import output_kind
from kd_keras.losses.contract.schedules import refuse_schedules
from kd_keras.losses.contract.tap_forms import TapForms, check_form, names_in_config, resolve


class Loss(keras.distillation.DistillationLoss):
    """Base of the losses in this package: per-example values, then their mean.

    A subclass writes `per_example`. Besides the two outputs it may name further inputs in its
    signature (`x`, `y`, `sample_weight`, `training`, and `sample_index` where x holds it);
    `kd_keras.Distiller` passes just those. A loss that names `sample_weight` applies it itself; for
    the others the Distiller multiplies the returned values.

    Args:
        teacher_layer_name: The layer of the teacher whose output is matched: its name, the path of
            a layer in a nested model ("inner/layer"), a key of the teacher's dict output, the
            `keras.Layer` itself, or a function of the teacher that returns one of these or a
            layer's symbolic output. A list taps several: the loss gets a list of tensors. `None`
            means the teacher's output. Layers and functions become names, and are saved as such, as
            soon as the loss sees the models.
        student_layer_name: The same for the student.

    Raises:
        ValueError: If a tap has none of these forms, or is no part of the model. Lists and paths
            need `kd_keras.Distiller`: Keras's own distiller taps one outer layer.

    Example:

    ```python
    @keras.saving.register_keras_serializable()
    class LogitsMAE(kd_keras.losses.Loss):
        def per_example(self, teacher_outputs, student_outputs):
            return keras.ops.mean(keras.ops.abs(teacher_outputs - student_outputs), axis=-1)
    ```
    """

    expects_logits = False
    # Whether a constant added to all logits of an example leaves the loss as it is.
    shift_invariant = False
    # Whether it may compare outputs whose units do not compete, as in multi-label classification.
    suits_independent_labels = False
    # What a list of losses says of it.
    matches = "features"

    # Names of the constructor's arguments beside the taps: the configuration holds them.
    saved_arguments: tuple[str, ...] = ()

    # Whether a kd_keras.Distiller has taken the loss on.
    _attached = False

    def __init__(self, teacher_layer_name: TapForms = None, student_layer_name: TapForms = None):
        self.teacher_layer_name = check_form(teacher_layer_name, "teacher_layer_name")
        self.student_layer_name = check_form(student_layer_name, "student_layer_name")

    def attach(self, teacher: Any, student: Any) -> None:
        """Learn the models; called by `kd_keras.Distiller`, once, before anything runs.

        Args:
            teacher: The teacher, perhaps not built yet.
            student: The student, perhaps not built yet.

        Raises:
            ValueError: If a tap is no part of a model, or the models do not suit the loss.
        """
        self._attached = True
        self._resolve_taps(teacher, student)
        self.validate_model_compatibility(teacher, student)

    def validate_model_compatibility(self, teacher: Any, student: Any) -> None:
        """Find the taps in the models, or raise `ValueError`."""
        self._resolve_taps(teacher, student)
        if self._attached:
            return
        for argument in ("teacher_layer_name", "student_layer_name"):
            name = getattr(self, argument)
            if isinstance(name, tuple) or "/" in (name or ""):
                raise ValueError(
                    f"{type(self).__name__} has {argument}={name!r}, which needs "
                    "`kd_keras.Distiller`: keras.distillation.Distiller taps one layer of the outer"
                    " model. Build a kd_keras.Distiller instead; it takes the same arguments."
                )

    def _resolve_taps(self, teacher: Any, student: Any) -> None:
        self.teacher_layer_name = resolve(self.teacher_layer_name, teacher, "teacher")
        self.student_layer_name = resolve(self.student_layer_name, student, "student")

    def per_example(self, teacher_outputs: Any, student_outputs: Any) -> Any:
        """Return one loss value per example, shape `(batch,)`."""
        raise NotImplementedError(
            f"{type(self).__name__} must define `per_example(teacher_outputs, student_outputs)` "
            "that returns one value per example."
        )

    def compute_loss(self, teacher_outputs: Any, student_outputs: Any, **kwargs: Any) -> Any:
        """Return the mean of `per_example` over the batch, a scalar.

        Args:
            teacher_outputs: Tensor, or list or dict of tensors, `(batch, ..., classes)`.
            student_outputs: The same structure and shapes.
            **kwargs: Further inputs that `per_example` names in its signature.

        Returns:
            Scalar float32 tensor.

        Raises:
            ValueError: If a hyper-parameter is a schedule: only `kd_keras.Distiller` counts steps.
        """
        refuse_schedules(self)
        return mean_or_zero(self.per_example(teacher_outputs, student_outputs, **kwargs))

    def get_config(self) -> dict[str, Any]:
        taps = ("teacher_layer_name", "student_layer_name")
        names = {name: names_in_config(getattr(self, name), name) for name in taps}
        return {**names, **saved_arguments(self)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Loss:
        return cls(**{name: _deserialized(value) for name, value in config.items()})


class LogitLoss(Loss):
    """Base of the losses between logits: a subclass writes the value of one position.

    Outputs may be `(batch, classes)` or dense, `(batch, ..., classes)`. Dense values are averaged
    over positions, and a Keras mask on the student's output is respected as Keras's own losses do:
    masked positions count nothing and the valid ones are averaged. With several outputs (a list or
    a dict) the losses of the outputs are added.
    """

    expects_logits = True
    matches = "logits"

    def values(self, teacher_logits: Any, student_logits: Any) -> Any:
        """Return the loss of each position, shape `logits.shape[:-1]`, of float32 logits."""
        raise NotImplementedError(
            f"{type(self).__name__} must define `values(teacher_logits, student_logits)`."
        )

    def per_example(
        self, teacher_outputs: Any, student_outputs: Any, sample_weight: Any = None
    ) -> Any:
        """Return one loss value per example.

        Args:
            teacher_outputs: Logits `(batch, ..., classes)`, or a list or dict of such.
            student_outputs: The same structure and shapes.
            sample_weight: `None`, or weights `(batch,)` or per position `(batch, ...)`, or the
                structure of the outputs with one such tensor each.

        Returns:
            Float32 tensor `(batch,)`.
        """
        return self.sum_over_outputs(self.values, teacher_outputs, student_outputs, sample_weight)

    def sum_over_outputs(
        self,
        values: Callable[..., Any],
        teacher_outputs: Any,
        student_outputs: Any,
        sample_weight: Any,
        *further: Sequence[Any],
    ) -> Any:
        """Return the values of all outputs per example, averaged over positions and added.

        Args:
            values: Called with the float32 logits of one output of teacher and student, and with
                that output's entry of each of `further`.
            teacher_outputs: As for `per_example`.
            student_outputs: As for `per_example`.
            sample_weight: As for `per_example`.
            *further: Lists with one entry for each output, in the order of `keras.tree.flatten`.
        """
        self.validate_outputs(teacher_outputs, student_outputs)
        flat_teacher = keras.tree.flatten(teacher_outputs)
        flat_student = keras.tree.flatten(student_outputs)
        flat_weights = weight_per_output(sample_weight, len(flat_student))
        total = None
        for teacher, student, weight, *more in zip(
            flat_teacher, flat_student, flat_weights, *further, strict=True
        ):
            position_values = values(
                ops.cast(teacher, "float32"), ops.cast(student, "float32"), *more
            )
            mask = mask_of(student)
            reduced = _mean_over_positions(position_values, weight, mask)
            total = reduced if total is None else total + reduced
        return total

    def validate_outputs(self, teacher_outputs: Any, student_outputs: Any) -> None:
        """Raise `ValueError` when the two outputs differ in structure or number of classes."""
        try:
            keras.tree.assert_same_structure(teacher_outputs, student_outputs)
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"{type(self).__name__} needs teacher and student outputs of one structure. "
                f"Received: teacher_outputs={_shapes(teacher_outputs)}, "
                f"student_outputs={_shapes(student_outputs)}. Name the outputs to match with "
                "`teacher_layer_name` and `student_layer_name`."
            ) from error
        for teacher, student in zip(
            keras.tree.flatten(teacher_outputs), keras.tree.flatten(student_outputs), strict=True
        ):
            teacher_shape, student_shape = tuple(teacher.shape), tuple(student.shape)
            same = len(teacher_shape) == len(student_shape) and all(
                a is None or b is None or a == b
                for a, b in zip(teacher_shape, student_shape, strict=True)
            )
            if not same:
                raise ValueError(
                    f"{type(self).__name__} needs teacher and student logits of one shape, "
                    "(batch, ..., classes), with the same number of classes. Received: teacher "
                    f"logits {teacher_shape}, student logits {student_shape}. Give the student's "
                    "last layer as many units as the teacher's."
                )

    def validate_model_compatibility(self, teacher: Any, student: Any) -> None:
        """Raise `ValueError` when a model is known to end in a softmax or sigmoid.

        `kd_keras.Distiller` turns such outputs into logits; Keras's own distiller does not.
        """
        super().validate_model_compatibility(teacher, student)
        if self._attached:
            return
        for role, model, names in (
            ("teacher", teacher, self.teacher_layer_name),
            ("student", student, self.student_layer_name),
        ):
            for name in names if isinstance(names, tuple) else (names,):
                if output_kind(model, name) == "probabilities":
                    raise ValueError(probabilities_message(type(self).__name__, role, model))


def probabilities_message(loss_name: str, role: str, model: Any) -> str:
    """Return the text of the error for a model that gives probabilities to a logit loss."""
    return (
        f"{loss_name} works on logits, but the {role} {model.name!r} returns probabilities (its "
        "last operation is a softmax or a sigmoid). A softmax of a softmax teaches almost nothing. "
        "Build a kd_keras.Distiller, which takes the log-probabilities and the same arguments, or "
        "make the model with a last layer without activation (`activation=None`)."
    )


def mean_or_zero(values: Any) -> Any:
    """Return the mean of `values`, 0 where there are none: a replica may get no examples."""
    return ops.divide_no_nan(ops.sum(values), ops.cast(ops.size(values), values.dtype))


def _deserialized(value: Any) -> Any:
    """Return the schedule or layer that a config describes, any other value as it is."""
    if isinstance(value, dict) and "class_name" in value:
        return keras.saving.deserialize_keras_object(value)
    return value


def _shapes(outputs: Any) -> Any:
    return keras.tree.map_structure(lambda tensor: tuple(tensor.shape), outputs)


def weight_per_output(sample_weight: Any, outputs: int) -> Sequence[Any]:
    """Return the weights of each of several outputs, which may share one tensor of them."""
    if sample_weight is None or not keras.tree.is_nested(sample_weight):
        return [sample_weight] * outputs
    weights = keras.tree.flatten(sample_weight)
    if len(weights) != outputs:
        raise ValueError(
            "`sample_weight` must be one tensor, or one tensor for each of the "
            f"{outputs} outputs. Received: {len(weights)} tensors."
        )
    return weights


def _mean_over_positions(values: Any, sample_weight: Any, mask: Any) -> Any:
    """Average `(batch, ...)` values to `(batch,)` so that their mean is Keras's weighted mean.

    Keras divides by the number of positions, never by the sum of the weights, and scales the valid
    positions of a mask by total/valid.
    """
    if mask is not None:
        mask = match_rank(ops.cast(mask, "float32"), values)
        valid = ops.sum(ops.broadcast_to(mask, ops.shape(values)))
        total = ops.cast(ops.size(values), "float32")
        values = ops.where(mask > 0, values, 0.0) * ops.divide_no_nan(total, valid)
    if sample_weight is not None:
        values = values * match_rank(ops.cast(sample_weight, "float32"), values)
    positions = tuple(range(1, len(values.shape)))
    return ops.mean(values, axis=positions) if positions else values


def match_rank(weight: Any, values: Any) -> Any:
    """Give `weight` the rank of `values`: drop a last dimension of 1, append missing ones."""
    rank = len(values.shape)
    if len(weight.shape) == rank + 1 and weight.shape[-1] == 1:
        weight = ops.squeeze(weight, axis=-1)
    while len(weight.shape) < rank:
        weight = ops.expand_dims(weight, axis=-1)
    if len(weight.shape) != rank:
        raise ValueError(
            "`sample_weight` and masks must have at most one value per position of the output. "
            f"Received: shape {tuple(weight.shape)} for loss values of shape "
            f"{tuple(values.shape)}."
        )
    return weight
