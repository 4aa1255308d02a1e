"""What the losses between intermediate features share: one tensor each, float32, masks."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kd_keras.compat.structure import mask_of
from kd_keras.losses.contract.base import Loss


class FeatureLoss(Loss):
    """Base of the losses between one feature tensor of the teacher and one of the student.

    Features are `(batch, ..., channels)`, channels last. A subclass writes `feature_values`.
    Positions that the student's Keras mask leaves out are zeros in both features.
    """

    def feature_values(self, teacher_features: Any, student_features: Any, valid: Any) -> Any:
        """Return the loss of each example, `(batch,)`.

        Args:
            teacher_features: Float32 `(batch, ..., channels)`.
            student_features: The same; how far the shapes may differ is the subclass's business.
            valid: Booleans `(batch, positions)`, or `None` without a mask.
        """
        raise NotImplementedError(
            f"{type(self).__name__} must define `feature_values(teacher_features, "
            "student_features, valid)`."
        )

    def per_example(self, teacher_outputs: Any, student_outputs: Any) -> Any:
        """Return one loss value per example.

        Args:
            teacher_outputs: Features `(batch, ..., channels)`.
            student_outputs: The same.

        Returns:
            Float32 tensor `(batch,)`.
        """
        self.validate_outputs(teacher_outputs, student_outputs)
        valid = mask_of(student_outputs)
        teacher = ops.cast(teacher_outputs, "float32")
        student = ops.cast(student_outputs, "float32")
        if valid is not None:
            valid = ops.cast(valid, "bool")
            teacher, student = (
                _zero_where_masked(teacher, valid),
                _zero_where_masked(student, valid),
            )
        return self.feature_values(teacher, student, valid)

    def validate_outputs(self, teacher_outputs: Any, student_outputs: Any) -> None:
        """Raise `ValueError` unless both are one tensor, and a mask has the positions of both."""
        for role, outputs in (("teacher", teacher_outputs), ("student", student_outputs)):
            if keras.tree.is_nested(outputs) or len(outputs.shape) < 2:
                raise ValueError(
                    f"{type(self).__name__} compares one tensor of features, (batch, ..., "
                    f"channels), of teacher and student. Received from the {role}: "
                    f"{_shapes(outputs)}. Name a layer, or a key of a dict output, with "
                    f"`{role}_layer_name`."
                )
        mask = mask_of(student_outputs)
        if mask is None:
            return
        rank = len(mask.shape)
        shapes = [tuple(outputs.shape) for outputs in (teacher_outputs, student_outputs)]
        if any(len(shape) <= rank or not _same(shape[:rank], mask.shape) for shape in shapes):
            raise ValueError(
                f"{type(self).__name__} respects the student's Keras mask, so both features must "
                f"have its positions, {tuple(mask.shape)}. Received: teacher features {shapes[0]}, "
                f"student features {shapes[1]}. Tap layers of one length, or layers behind the "
                "pooling, where there is no mask any more."
            )


def _zero_where_masked(features: Any, valid: Any) -> Any:
    while len(valid.shape) < len(features.shape):
        valid = ops.expand_dims(valid, axis=-1)
    return ops.where(valid, features, 0.0)


def _same(shape: Any, other: Any) -> bool:
    return all(a is None or b is None or a == b for a, b in zip(shape, other, strict=True))


def _shapes(outputs: Any) -> Any:
    return keras.tree.map_structure(lambda tensor: tuple(tensor.shape), outputs)
