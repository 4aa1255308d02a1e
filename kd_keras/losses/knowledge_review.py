"""Knowledge review: the student's stages, fused from the deepest up, learn the teacher's stages."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kd_keras.arguments import check_integer
from kd_keras.losses.contract.spatial import average_pool_to
from kd_keras.losses.contract.trainable import TrainableLoss
from kd_keras.losses.review_fusion import ReviewFusion

_LEVELS = (4, 2, 1)


def hierarchical_context(teacher_features: Any, student_features: Any) -> Any:
    """Return the hierarchical context loss of each example (HCL).

    ```
    value = (d(h) + d(4) / 2 + d(2) / 4 + d(1) / 8) / (1 + 1/2 + 1/4 + 1/8)
    d(l)  = mean squared difference of the maps averaged to l x l
    ```

    Levels that are not smaller than the map's own height h are left out, of the divisor too, and do
    not halve the weight of the next.

    Args:
        teacher_features: Float tensor `(batch, height, width, channels)`.
        student_features: The same shape.

    Returns:
        Tensor `(batch,)`, values >= 0.
    """
    total, weight, weights = _mean_square(teacher_features - student_features), 1.0, 1.0
    for level in _LEVELS:
        if level < student_features.shape[1]:
            weight /= 2.0
            weights += weight
            # Averaging is linear: the difference is averaged, once instead of twice.
            gap = average_pool_to(teacher_features - student_features, (level, level))
            total = total + weight * _mean_square(gap)
    return total / weights


@keras.saving.register_keras_serializable(package="kd_keras")
class KnowledgeReview(TrainableLoss):
    r"""Review of knowledge: fused features of the student against several stages (ReviewKD).

    ```
    carry = None
    for stage from the deepest to the first:
        x = norm(conv1x1(student[stage]))                   # `width` channels
        if carry: gates = sigmoid(conv1x1([x, resized carry]));  x = gates_0 x + gates_1 carry
        carry = x resized to the teacher's size
        value += hierarchical_context(teacher[stage], norm(conv3x3(carry)))
    ```

    The value of an example is the sum over the stages. The convolutions and batch normalisations
    train with the student. A tap of shape `(batch, channels)` counts as a map of one position, as
    the pooled features do in the reference.

    The weight published for resnet32x4 -> resnet8x4 on CIFAR-100 is 5, warmed up linearly over 20
    epochs, with the teacher's features taken before the ReLU (mdistiller).

    Args:
        teacher_layer_name: List of the teacher's layers, from the first stage to the deepest.
        student_layer_name: List of the student's layers, in the same order.
        max_width: Largest number of channels of the fused features; they have as many as the
            student's deepest tap, up to this.

    Raises:
        ValueError: If `max_width` is out of range or the taps are not maps or vectors; and under
            `keras.distillation.Distiller`, which would not train the layers.

    Example:

    >>> import kd_keras, numpy as np
    >>> loss = kd_keras.losses.KnowledgeReview(["stage1", "pool"], ["stage1", "pool"])
    >>> loss.max_width
    512
    >>> teacher, student = np.zeros((1, 2, 2, 1)), np.array([[[[2.0], [0]], [[0], [0]]]])
    >>> # (4 / 4 + (2 / 4)^2 / 2) / (1 + 1 / 2)
    >>> kd_keras.losses.hierarchical_context(teacher, student).numpy().tolist()
    [0.75]

    Reference: Chen et al., "Distilling Knowledge via Knowledge Review", CVPR 2021,
    arXiv:2104.09044.
    """

    saved_arguments = ("max_width",)

    def __init__(
        self,
        teacher_layer_name: Any = None,
        student_layer_name: Any = None,
        max_width: int = 512,
    ):
        super().__init__(teacher_layer_name, student_layer_name)
        self.max_width = check_integer("max_width", max_width, 1)
        self.fusion = ReviewFusion(self.max_width, name="review_fusion")

    def check_shapes(self, teacher_shapes: list[Any], student_shapes: list[Any]) -> None:
        super().check_shapes(teacher_shapes, student_shapes)
        for shape in (*teacher_shapes, *student_shapes):
            if len(shape) not in (2, 4) or None in shape[1:]:
                raise ValueError(
                    "KnowledgeReview needs taps of shape (batch, height, width, channels) with "
                    "known sizes, or (batch, channels). Received: teacher "
                    f"{teacher_shapes}, student {student_shapes}. Tap the ends of the stages, and "
                    "give the models' inputs a fixed size."
                )

    def build_layers(self, teacher_shapes: list[Any], student_shapes: list[Any]) -> None:
        self.fusion.make(
            [_map_shape(shape) for shape in teacher_shapes],
            [_map_shape(shape) for shape in student_shapes],
        )

    def per_example(
        self, teacher_outputs: Any, student_outputs: Any, training: bool = False
    ) -> Any:
        """Return one value per example, shape `(batch,)`.

        Args:
            teacher_outputs: List of the teacher's features.
            student_outputs: List of the student's features.
            training: Whether the batch normalisations use the batch and move their statistics.
        """
        pairs = [(_as_map(t), _as_map(s)) for t, s in self.pairs(teacher_outputs, student_outputs)]
        fused = self.fusion([student for _, student in pairs], training=training)
        values = [
            hierarchical_context(teacher, student)
            for (teacher, _), student in zip(pairs, fused, strict=True)
        ]
        return sum(values[1:], start=values[0])


def _mean_square(values: Any) -> Any:
    return ops.mean(ops.square(values), axis=tuple(range(1, len(values.shape))))


def _as_map(features: Any) -> Any:
    return features if len(features.shape) == 4 else features[:, None, None, :]


def _map_shape(shape: Any) -> tuple[Any, ...]:
    return tuple(shape) if len(shape) == 4 else (shape[0], 1, 1, shape[1])
