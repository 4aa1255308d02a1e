"""Relational knowledge distillation: distances of pairs and angles of triplets of examples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from kd_keras.losses.contract.feature import RelationLoss
from kd_keras.losses.contract.schedules import checked_weight
from kd_keras.losses.contract.vectors import l2_normalize

# Distances squared are at least this, as in RepDistiller: the root of 0 has no gradient.
_SMALLEST = 1e-12
# Floats in the largest tensor of one block of anchors: 8 MiB.
_BLOCK_FLOATS = 2**21


def relational_kd(
    teacher_vectors: Any, student_vectors: Any, distance_weight: Any, angle_weight: Any
) -> Any:
    """Return distance_weight * `relational_distance` + angle_weight * `relational_angle`."""
    return distance_weight * relational_distance(
        teacher_vectors, student_vectors
    ) + angle_weight * relational_angle(teacher_vectors, student_vectors)


def relational_distance(teacher_vectors: Any, student_vectors: Any) -> Any:
    r"""Return mean_j h(d(t)_ij - d(s)_ij) of each example i, d distances over their mean.

    Args:
        teacher_vectors: Float tensor `(batch, width)`.
        student_vectors: Float tensor `(batch, other width)`.

    Returns:
        Tensor `(batch,)`, values >= 0. h is the smooth L1 (Huber) function with the border 1.
    """
    teacher, student = _relative_distances(teacher_vectors), _relative_distances(student_vectors)
    return ops.mean(_smooth_l1(student - teacher), axis=-1)


def relational_angle(teacher_vectors: Any, student_vectors: Any) -> Any:
    r"""Return mean_jk h(cos(t)_ijk - cos(s)_ijk) of each example i, the vertex of the angles.

    cos_ijk is the cosine of the angle between f_j - f_i and f_k - f_i. All batch^3 of them are
    never held: blocks of vertices are worked off one after the other, and once more for the
    gradient, so that memory grows with batch^2. The gradient reaches the student alone.

    Args:
        teacher_vectors: Float tensor `(batch, width)`.
        student_vectors: Float tensor `(batch, other width)`.

    Returns:
        Tensor `(batch,)`, values in `[0, 1.5]`. h is the smooth L1 function with the border 1.
    """
    batch = tf.shape(student_vectors)[0]
    teacher = _at_least_one(tf.stop_gradient(teacher_vectors))
    student = _at_least_one(tf.convert_to_tensor(student_vectors))
    vertices, is_padding = _blocks_of_vertices(teacher, student)

    def block_values(student: tf.Tensor, block: tf.Tensor) -> tf.Tensor:
        difference = _cosines(student, block) - _cosines(teacher, block)
        return tf.reduce_mean(_smooth_l1(difference), axis=(1, 2))

    @tf.custom_gradient
    def values(student: tf.Tensor) -> Any:
        # An outer tape in eager mode would keep what every block computes.
        student = tf.stop_gradient(student)

        def put_block(values: tf.Tensor, block: tf.Tensor) -> tf.Tensor:
            return tf.tensor_scatter_nd_update(values, block[:, None], block_values(student, block))

        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            upstream = tf.where(is_padding, 0.0, tf.gather(upstream, vertices))

            def add_block(total: tf.Tensor, entry: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
                block, block_upstream = entry
                with tf.GradientTape() as tape:
                    tape.watch(student)
                    of_block = block_values(student, block)
                part = tape.gradient(of_block, student, output_gradients=block_upstream)
                return total + tf.convert_to_tensor(part)

            return _in_turn(add_block, (vertices, upstream), tf.zeros_like(student))

        none_yet = tf.zeros_like(student[:, 0])
        return _in_turn(put_block, vertices, none_yet), gradient

    return values(student)[:batch]


def _at_least_one(vectors: tf.Tensor) -> tf.Tensor:
    """Add an example where there is none (on a replica): XLA refuses loops over nothing."""
    missing = tf.cast(tf.equal(tf.shape(vectors)[0], 0), tf.int32)
    return tf.pad(vectors, [[0, missing], [0, 0]])


def _in_turn(step: Callable[..., tf.Tensor], entries: Any, start: tf.Tensor) -> tf.Tensor:
    """Return the result of `step(result, entry)` of the last entry, one entry at a time."""
    return tf.foldl(step, entries, initializer=start, parallel_iterations=1)


def _blocks_of_vertices(teacher: Any, student: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """Return example ids `(blocks, size)`, and which are there only to fill the last block."""
    batch = tf.shape(student)[0]
    longest = tf.reduce_max([batch, tf.shape(teacher)[1], tf.shape(student)[1]])
    size = tf.clip_by_value(_BLOCK_FLOATS // (batch * longest), 1, batch)
    blocks = (batch + size - 1) // size
    ids = tf.reshape(tf.range(blocks * size), tf.stack([blocks, size]))
    return tf.minimum(ids, batch - 1), ids >= batch


def _cosines(vectors: Any, block: tf.Tensor) -> tf.Tensor:
    """Return the cosines of the angles at the examples of `block`, `(size, batch, batch)`."""
    arms = l2_normalize(vectors[None] - tf.gather(vectors, block)[:, None])
    return tf.matmul(arms, arms, transpose_b=True)


def _relative_distances(vectors: Any) -> Any:
    """Return the distances `(batch, batch)` over the mean distance of two different examples."""
    vectors = _centred(vectors)
    products = ops.matmul(vectors, ops.transpose(vectors))
    # From the same matrix, so that equal vectors are at the distance 0 however it was rounded.
    squares = ops.diagonal(products)
    squared = squares[:, None] + squares[None] - 2.0 * products
    distances = ops.sqrt(ops.maximum(squared, _SMALLEST))
    batch = ops.shape(vectors)[0]
    itself = ops.cast(ops.eye(batch), "bool")
    distances = ops.where(itself, 0.0, distances)
    pairs = ops.cast(batch * (batch - 1), distances.dtype)
    return ops.divide_no_nan(distances, ops.divide_no_nan(ops.sum(distances), pairs))


def _centred(vectors: Any) -> Any:
    """Subtract the batch's mean, which changes no distance and much of what rounding takes."""
    number = ops.cast(ops.shape(vectors)[0], vectors.dtype)
    return vectors - ops.divide_no_nan(ops.sum(vectors, axis=0, keepdims=True), number)


def _smooth_l1(difference: Any) -> Any:
    size = ops.abs(difference)
    return ops.where(size < 1.0, 0.5 * ops.square(difference), size - 0.5)


@keras.saving.register_keras_serializable(package="kd_keras")
class RelationalKD(RelationLoss):
    r"""Distances between pairs, and angles in triplets, of the examples of a batch (RKD).

    ```
    d_ij = ||f_i - f_j|| / (mean distance of two different examples)
    a_ijk = cosine of the angle at f_i between f_j and f_k
    h(x) = x^2 / 2 if |x| < 1 else |x| - 1/2
    loss = distance_weight * mean_ij h(d_ij(student) - d_ij(teacher))
         + angle_weight * mean_ijk h(a_ijk(student) - a_ijk(teacher))
    ```

    The means run over all batch^2 pairs and batch^3 triplets. The loss is invariant to rotations,
    shifts and the scale of either net's features, whose widths may differ. The angles need memory
    for batch^2 floats and not batch^3: they are computed in blocks of examples, again for the
    gradient. The value of example i is the mean over the pairs (i, j) and the triplets (i, j, k).
    Under `tf.distribute` the batch is that of a replica.

    Published weights (the paper and RepDistiller): 25 and 50, on the pooled features before the
    last layer, with a weight of 1 beside a student loss of weight 1 (`combine="sum"`).

    Args:
        distance_weight: Weight >= 0 of the distances.
        angle_weight: Weight >= 0 of the angles.
        teacher_layer_name: Layer of the teacher, or key of its dict output; `None` for its output.
        student_layer_name: The same for the student.

    Raises:
        ValueError: If a weight is out of range, or if an output is not one tensor `(batch, ...)`.

    Example:

    >>> import kd_keras, numpy as np
    >>> loss = kd_keras.losses.RelationalKD(distance_weight=9.0, angle_weight=0.0)
    >>> teacher = np.array([[0.0], [1.0], [2.0]])  # distances 1, 1, 2 over their mean 4/3
    >>> student = np.array([[0.0, 0.0], [3.0, 0.0], [3.0, 0.0]])  # 3, 0, 3 over their mean 2
    >>> value = loss.compute_loss(teacher, student)
    >>> round(float(value), 4)  # 9 * (2 / 9) * (0.75^2 + 0.75^2 + 0^2) / 2
    1.125

    Reference: Park et al., "Relational Knowledge Distillation", CVPR 2019, arXiv:1904.05068.
    """

    saved_arguments = ("distance_weight", "angle_weight")

    def __init__(
        self,
        distance_weight: Any = 25.0,
        angle_weight: Any = 50.0,
        teacher_layer_name: str | None = None,
        student_layer_name: str | None = None,
    ):
        super().__init__(teacher_layer_name, student_layer_name)
        self.distance_weight = checked_weight("distance_weight", distance_weight)
        self.angle_weight = checked_weight("angle_weight", angle_weight)

    def relation_values(self, teacher_vectors: Any, student_vectors: Any) -> Any:
        return relational_kd(
            teacher_vectors, student_vectors, self.distance_weight, self.angle_weight
        )
