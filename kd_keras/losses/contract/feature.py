"""What the losses between intermediate features share: one tensor each, maps or relations."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from kd_keras.compat.structure import mask_of
from kd_keras.losses.contract.base import Loss
from kd_keras.losses.contract.spatial import same_size


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


class FeatureMapLoss(FeatureLoss):
    """Base of the losses that compare where in an image, or in a sequence, features are strong.

    Maps are `(batch, height, width, channels)` or `(batch, steps, channels)`. Along each axis the
    larger is average-pooled to the size of the smaller, as PyTorch's adaptive pooling does. A
    subclass writes `map_values` of maps `(batch, positions, channels)`.
    """

    def map_values(self, teacher_maps: Any, student_maps: Any, valid: Any) -> Any:
        """Return the loss of each example, `(batch,)`, as `FeatureLoss.feature_values`."""
        raise NotImplementedError(
            f"{type(self).__name__} must define `map_values(teacher_maps, student_maps, valid)`."
        )

    def feature_values(self, teacher_features: Any, student_features: Any, valid: Any) -> Any:
        teacher, student = same_size(teacher_features, student_features)
        if valid is not None and len(valid.shape) > 2:
            valid = ops.reshape(valid, (ops.shape(valid)[0], -1))
        return self.map_values(flat_positions(teacher), flat_positions(student), valid)

    def validate_outputs(self, teacher_outputs: Any, student_outputs: Any) -> None:
        """Raise `ValueError` unless both outputs are maps of one rank."""
        super().validate_outputs(teacher_outputs, student_outputs)
        shapes = [tuple(outputs.shape) for outputs in (teacher_outputs, student_outputs)]
        if len(shapes[0]) != len(shapes[1]) or len(shapes[0]) < 3:
            raise ValueError(
                f"{type(self).__name__} compares feature maps of one rank, (batch, height, width, "
                "channels) or (batch, steps, channels). Received: teacher features "
                f"{shapes[0]}, student features {shapes[1]}. Name a layer before the global "
                "pooling with `teacher_layer_name` and `student_layer_name`."
            )


class RelationLoss(FeatureLoss):
    """Base of the losses that compare how the examples of a batch lie to each other.

    Features of any rank are flattened to one vector for each example, and teacher and student may
    have vectors of different widths. The value of a pair (or triplet) of examples is attributed to
    its first example, so that the mean over the examples is the loss of the batch. `sample_weight`
    therefore weighs the pairs that begin with an example; it stays a partner of the others. Under
    `tf.distribute` the examples are those of a replica.

    A subclass writes `relation_values` of `(batch, width)` vectors.
    """

    matches = "relations"

    def relation_values(self, teacher_vectors: Any, student_vectors: Any) -> Any:
        """Return the loss of the pairs that begin with each example, `(batch,)`."""
        raise NotImplementedError(
            f"{type(self).__name__} must define `relation_values(teacher_vectors, "
            "student_vectors)`."
        )

    def feature_values(self, teacher_features: Any, student_features: Any, valid: Any) -> Any:
        return self.relation_values(_as_vectors(teacher_features), _as_vectors(student_features))


def flat_positions(maps: Any) -> Any:
    """Return maps `(batch, ..., channels)` as `(batch, positions, channels)`."""
    if len(maps.shape) == 3:
        return maps
    return ops.reshape(maps, (ops.shape(maps)[0], _product(maps.shape[1:-1]), maps.shape[-1]))


def _as_vectors(features: Any) -> Any:
    return ops.reshape(features, (ops.shape(features)[0], _product(features.shape[1:])))


def _product(sizes: Any) -> int:
    """Return the product of sizes, -1 where one is not known."""
    return -1 if None in sizes else math.prod(sizes)


def _zero_where_masked(features: Any, valid: Any) -> Any:
    while len(valid.shape) < len(features.shape):
        valid = ops.expand_dims(valid, axis=-1)
    return ops.where(valid, features, 0.0)


def _same(shape: Any, other: Any) -> bool:
    return all(a is None or b is None or a == b for a, b in zip(shape, other, strict=True))


def _shapes(outputs: Any) -> Any:
    return keras.tree.map_structure(lambda tensor: tuple(tensor.shape), outputs)
