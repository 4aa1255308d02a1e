"""What the losses between feature maps share: positions that are brought to one size."""

from __future__ import annotations

from typing import Any

from keras import ops

from kd_keras.losses.contract.feature import FeatureLoss
from kd_keras.losses.contract.spatial import same_size


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


def flat_positions(maps: Any) -> Any:
    """Return maps `(batch, ..., channels)` as `(batch, positions, channels)`."""
    if len(maps.shape) == 3:
        return maps
    sizes = maps.shape[1:-1]
    positions = -1
    if None not in sizes:
        positions = 1
        for size in sizes:
            positions *= size
    return ops.reshape(maps, (ops.shape(maps)[0], positions, maps.shape[-1]))
