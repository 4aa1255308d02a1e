"""Channel-wise distillation: where in the image each channel is strong, as a distribution."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kd_keras.compat.structure import mask_of
from kd_keras.losses.contract.adapted import AdaptedLoss
from kd_keras.losses.contract.base import weight_per_output
from kd_keras.losses.contract.feature import flat_positions
from kd_keras.losses.contract.schedules import checked_temperature
from kd_keras.losses.contract.spatial import same_size
from kd_keras.losses.kl_divergence import kl_divergence

# Not -inf: a softmax over positions of which none counts would be NaN.
_NOWHERE = -1e30


def channel_wise(
    teacher_maps: Any, student_maps: Any, temperature: Any = 4.0, valid: Any = None
) -> Any:
    r"""Return T^2 * mean_c KL(softmax_x(t_xc / T) || softmax_x(s_xc / T)) of each example.

    Args:
        teacher_maps: Float tensor `(batch, positions, channels)`.
        student_maps: Float tensor of the same shape.
        temperature: T > 0.
        valid: Booleans `(batch, positions)`: the positions among which the softmax is taken. `None`
            for all.

    Returns:
        Tensor `(batch,)`, values >= 0; 0 where no position is valid.
    """
    if valid is not None:
        valid = ops.expand_dims(valid, axis=-1)
        teacher_maps = ops.where(valid, teacher_maps, _NOWHERE)
        student_maps = ops.where(valid, student_maps, _NOWHERE)
    teacher, student = (ops.transpose(maps, (0, 2, 1)) for maps in (teacher_maps, student_maps))
    return ops.mean(kl_divergence(teacher, student, temperature), axis=-1)


@keras.saving.register_keras_serializable(package="kd_keras")
class ChannelWise(AdaptedLoss):
    r"""KL divergence between the softened places of teacher and student, channel by channel (CWD).

    ```
    p_xc = exp(t_xc / T) / sum_x' exp(t_x'c / T),  q_xc the same of the student's map s
    loss = T^2 * mean_c sum_x p_xc * (log p_xc - log q_xc)      over the positions x of an example
    ```

    For dense prediction: where `KLDivergence` compares the classes of each pixel, this compares
    the pixels of each class, and what is strong in the teacher's map counts most. Without layer
    names it compares logits `(batch, height, width, classes)`; with them feature maps, whose
    channels may differ: a 1x1 convolution A, which trains with the student and never leaves with
    it, makes s = A(student). Where the sizes differ, the bigger map is averaged to the size of the
    smaller one. Several taps add up. Adding a constant to a whole channel changes nothing.

    A `sample_weight` for every position, which is 0 where labels say that there is none, leaves the
    positions with weight 0 out of the softmax, as the student's Keras mask does; the value of an
    example is multiplied by its mean weight.

    Args:
        temperature: T, from 0.001 to 1000, a number or a
            `keras.optimizers.schedules.LearningRateSchedule`; 4 as in the paper.
        teacher_layer_name: The layer or layers of the teacher (see `Loss`); `None` for its logits.
        student_layer_name: The layer or layers of the student, in the same order.
        adapter: `None` for an adapter where the channels differ, `True` for one in any case,
            `False` for none.

    Raises:
        ValueError: If `temperature` or `adapter` is something else, or the features have no
            positions.

    Example:

    >>> import kd_keras, numpy as np
    >>> loss = kd_keras.losses.ChannelWise(temperature=1.0)
    >>> maps = np.log([[[3.0], [1.0]]])  # one channel, 3/4 of it in the first of two places
    >>> round(float(loss.compute_loss(maps, np.zeros((1, 2, 1)))), 4)  # log 2 - entropy(3/4, 1/4)
    0.1308

    Reference: Shu et al., "Channel-wise Knowledge Distillation for Dense Prediction", ICCV 2021,
    arXiv:2011.13256.
    """

    saved_arguments = ("temperature",)

    def __init__(
        self,
        temperature: Any = 4.0,
        teacher_layer_name: Any = None,
        student_layer_name: Any = None,
        adapter: bool | None = None,
    ):
        super().__init__(teacher_layer_name, student_layer_name, adapter)
        self.temperature = checked_temperature(temperature)

    @property
    def expects_logits(self) -> bool:  # type: ignore[override]
        return self.teacher_layer_name is None and self.student_layer_name is None

    def check_shapes(self, teacher_shapes: list[Any], student_shapes: list[Any]) -> None:
        super().check_shapes(teacher_shapes, student_shapes)
        if any(len(shape) < 3 for shape in teacher_shapes):
            raise ValueError(
                "ChannelWise compares maps, (batch, height, width, channels) or (batch, steps, "
                f"channels). Received: teacher {teacher_shapes}, student {student_shapes}. Name "
                "layers before the global pooling with `teacher_layer_name` and "
                "`student_layer_name`; for one label per image use kd_keras.losses.KLDivergence."
            )

    def per_example(
        self, teacher_outputs: Any, student_outputs: Any, sample_weight: Any = None
    ) -> Any:
        """Return one value per example, shape `(batch,)`."""
        pairs = self.adapted_pairs(teacher_outputs, student_outputs)
        weights = weight_per_output(sample_weight, len(pairs))
        masks = [mask_of(tensor) for tensor in keras.tree.flatten(student_outputs)]
        total = 0.0
        for (teacher, student), weight, mask in zip(pairs, weights, masks, strict=True):
            teacher, student = same_size(teacher, student)
            valid = None
            for given in (weight, mask):
                if given is not None and _is_of_positions(given, student):
                    counts = ops.not_equal(flat_positions(_map_of(given, student))[..., 0], 0)
                    valid = counts if valid is None else ops.logical_and(valid, counts)
            values = channel_wise(
                flat_positions(teacher), flat_positions(student), self.temperature, valid
            )
            if weight is not None:
                weight = ops.cast(weight, "float32")
                values = values * ops.mean(ops.reshape(weight, (ops.shape(weight)[0], -1)), axis=1)
            total = total + values
        return total


def _is_of_positions(values: Any, maps: Any) -> bool:
    positions = tuple(maps.shape)[1:-1]
    shape = tuple(values.shape)
    return shape[1 : len(positions) + 1] == positions


def _map_of(values: Any, maps: Any) -> Any:
    """Return weights or a mask as numbers `(batch, positions..., 1)`."""
    values = ops.cast(values, "float32")
    return values if len(values.shape) == len(maps.shape) else ops.expand_dims(values, axis=-1)
