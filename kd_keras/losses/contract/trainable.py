"""What the losses share that own layers, which train with the student."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kd_keras.losses.contract.base import Loss


class TrainableLoss(Loss):
    """Base of the losses that own layers: an adapter, a regressor, an embedding.

    `kd_keras.Distiller` builds the layers when the shapes of the taps are known, trains them with
    the student, saves them in its own file, and never with the student. A subclass makes its layers
    in its constructor, as attributes, in float32, and builds them in `build_layers`.

    `keras.distillation.Distiller` knows nothing of layers in a loss: they would keep their random
    weights. A loss that always needs them refuses it.

    Args:
        teacher_layer_name: The layer or layers of the teacher that are matched (see `Loss`).
        student_layer_name: The same for the student.

    Example:

    ```python
    @keras.saving.register_keras_serializable()
    class Projected(kd_keras.losses.TrainableLoss):
        def __init__(self, **taps):
            super().__init__(**taps)
            self.projection = keras.layers.Dense(8, dtype="float32")

        def build_layers(self, teacher_shapes, student_shapes):
            self.projection.build(student_shapes[0])

        def per_example(self, teacher_outputs, student_outputs):
            gap = teacher_outputs - self.projection(student_outputs)
            return keras.ops.mean(gap**2, axis=-1)
    ```
    """

    # Whether there are layers to train whatever the shapes are.
    always_trains = True

    def __init__(self, teacher_layer_name: Any = None, student_layer_name: Any = None):
        super().__init__(teacher_layer_name, student_layer_name)
        self.built = False

    def build_layers(
        self, teacher_shapes: list[tuple[int | None, ...]], student_shapes: list[Any]
    ) -> None:
        """Build the layers.

        Args:
            teacher_shapes: Shape of each tap of the teacher, with the batch dimension.
            student_shapes: The same for the student.
        """
        raise NotImplementedError(
            f"{type(self).__name__} must define `build_layers(teacher_shapes, student_shapes)`."
        )

    def build(self, teacher_shape: Any, student_shape: Any) -> None:
        """Build the layers for the shapes of the taps; the Distiller does so by itself.

        Args:
            teacher_shape: Shape of the teacher's features with the batch dimension, which may be
                `None`, or a list of shapes for several taps.
            student_shape: The same for the student.

        Raises:
            ValueError: If the shapes do not suit the loss.
        """
        shapes = [_list_of_shapes(shape) for shape in (teacher_shape, student_shape)]
        self.check_shapes(*shapes)
        self.build_layers(*shapes)
        self.built = True

    def check_shapes(self, teacher_shapes: list[Any], student_shapes: list[Any]) -> None:
        """Raise `ValueError` unless both sides have as many taps, of ranks that belong together."""
        fits = len(teacher_shapes) == len(student_shapes) and all(
            len(t) == len(s) >= 2 and t[-1] is not None and s[-1] is not None
            for t, s in zip(teacher_shapes, student_shapes, strict=True)
        )
        if not fits:
            raise ValueError(
                f"{type(self).__name__} needs as many taps of the student as of the teacher, each "
                "pair of one rank, (batch, ..., channels), with known channels. Received: teacher "
                f"{teacher_shapes}, student {student_shapes}. Tap both networks at the same depth, "
                "before the pooling or behind it."
            )

    def validate_model_compatibility(self, teacher: Any, student: Any) -> None:
        """Find the taps; refuse a distiller that would not train the layers."""
        super().validate_model_compatibility(teacher, student)
        if self.always_trains and not self._attached:
            raise ValueError(self.needs_our_distiller())

    def validate_outputs(self, teacher_outputs: Any, student_outputs: Any) -> None:
        """Raise `ValueError` when the number of taps or their ranks differ."""
        shapes = [
            [tuple(tensor.shape) for tensor in keras.tree.flatten(outputs)]
            for outputs in (teacher_outputs, student_outputs)
        ]
        self.check_shapes(*shapes)

    def pairs(self, teacher_outputs: Any, student_outputs: Any) -> list[tuple[Any, Any]]:
        """Return the pairs of features, in float32; raise where the layers are not built."""
        self.validate_outputs(teacher_outputs, student_outputs)
        teacher = [ops.cast(tensor, "float32") for tensor in keras.tree.flatten(teacher_outputs)]
        student = [ops.cast(tensor, "float32") for tensor in keras.tree.flatten(student_outputs)]
        if not self.built:
            self.without_layers(
                [tuple(tensor.shape) for tensor in teacher],
                [tuple(tensor.shape) for tensor in student],
            )
        return list(zip(teacher, student, strict=True))

    def without_layers(self, teacher_shapes: list[Any], student_shapes: list[Any]) -> None:
        """Called where the loss is used before it is built; raises `ValueError`."""
        raise ValueError(
            f"{self.needs_our_distiller()} To use the loss by itself, call "
            f"`build({teacher_shapes}, {student_shapes})` first."
        )

    def needs_our_distiller(self) -> str:
        return (
            f"{type(self).__name__} owns layers that train with the student. "
            "`keras.distillation.Distiller` does not train the layers of a loss: they would keep "
            "their random weights. Pass the loss to `kd_keras.Distiller`, which takes the same "
            "arguments."
        )


def _list_of_shapes(shape: Any) -> list[Any]:
    is_one = all(size is None or isinstance(size, int) for size in shape)
    return [tuple(one) for one in ([shape] if is_one else shape)]
