"""Contrastive representation distillation with a memory bank."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from kd_keras.arguments import check_integer, check_number, check_seed
from kd_keras.losses.contract.contrastive import ContrastiveLoss, class_numbers
from kd_keras.losses.contrast_memory import ContrastMemory

_EPSILON = 1e-7


def noise_contrast(log_positive: Any, log_negatives: Any, samples: int, valid: Any = None) -> Any:
    """Return the noise-contrastive value of each example: one positive among K negatives.

    ```
    c = K / samples
    value = - log(p / (p + c)) - sum_k log(c / (n_k + c))
    ```

    Args:
        log_positive: log p, `(batch,)`.
        log_negatives: log n, `(batch, K)`.
        samples: Number of examples that the negatives are drawn from, each with 1 / samples.
        valid: `None`, or a boolean tensor `(batch, K)`: negatives that are not valid count nothing,
            and the others as much more.

    Returns:
        Tensor `(batch,)`, values >= 0.
    """
    count = log_negatives.shape[1]
    share = count / samples
    log_total = math.log(share + _EPSILON)
    positive = ops.logaddexp(log_positive, log_total) - log_positive
    negatives = ops.logaddexp(log_negatives, log_total) - math.log(share)
    if valid is None:
        return positive + ops.sum(negatives, axis=1)
    valid = ops.cast(valid, negatives.dtype)
    number = ops.maximum(ops.sum(valid, axis=1), 1.0)
    return positive + ops.sum(valid * negatives, axis=1) * (count / number)


@keras.saving.register_keras_serializable(package="kd_keras")
class ContrastiveRepresentation(ContrastiveLoss):
    r"""Contrastive representation distillation (CRD): negatives from a memory of all examples.

    ```
    s = unit(W_s student),  t = unit(W_t teacher)
    value_i = contrast(s_i; teacher bank) + contrast(t_i; student bank)
    contrast(e; bank): h(j) = exp(e . bank_j / T) / Z,  c = K / samples
        - log(h(i) / (h(i) + c)) - sum over K drawn j of log(c / (h(j) + c))
    ```

    After each step the rows of the batch move: bank_i = unit(m bank_i + (1 - m) e_i). Z is
    `samples` x the mean of exp(e . bank_j / T) in the first batch, and stays. Banks, Z and the
    random state of the draws are saved with the distiller, and an evaluation moves none of them:
    there the other network's embedding is the positive, so that held-out data need no numbers.

    The Distiller must know which training example is which. Give each its number from 0 to
    `samples` - 1 as a member `"sample_index"` of x; the Distiller takes it out before the
    augmentation, and the networks see the rest:

    ```python
    distiller.fit({"images": images, "sample_index": np.arange(len(images))}, labels)
    # or, before shuffle and batch:
    dataset.enumerate().map(lambda i, d: ({"images": d[0], "sample_index": i}, d[1]))
    ```

    The memory costs 8 x `samples` x `dimensions` bytes (51 MB for CIFAR), copied once in a step; a
    step also scores the batch against all of it. One device only.

    The weight published for CIFAR-100 is 0.8 (RepDistiller), with negatives from other classes. The
    reference knows all labels beforehand; here, with `other_classes_only`, an example counts as of
    another class until it has been seen once.

    Args:
        samples: Number of training examples.
        teacher_layer_name: The layer of the teacher, usually its pooled features (see `Loss`).
        student_layer_name: The layer of the student.
        negatives: K, negatives for each example, drawn with replacement.
        temperature: T, from 0.001 to 1000.
        momentum: m, from 0 to 1.
        dimensions: Length of the embeddings.
        other_classes_only: Whether negatives of the same class count nothing (the others then as
            much more); needs labels.
        seed: Seed of the draws; `None` for one from Keras's global seed.

    Raises:
        ValueError: If an argument is out of range, numbers or labels are missing, or there are
            several replicas; and under `keras.distillation.Distiller`, which would train nothing of
            it.

    Example:

    >>> import kd_keras, numpy as np
    >>> loss = kd_keras.losses.ContrastiveRepresentation(50_000, "pool", "pool")
    >>> loss.negatives, loss.temperature, loss.momentum
    (16384, 0.07, 0.5)
    >>> # one negative out of two, p = n = 1/2, so c = 1/2: log 2 + log 2
    >>> half = np.log([[0.5]]).astype("float32")
    >>> value = kd_keras.losses.noise_contrast(half[0], half, samples=2)
    >>> round(float(value[0]), 4)
    1.3863

    Reference: Tian, Krishnan, Isola, "Contrastive Representation Distillation", ICLR 2020,
    arXiv:1910.10699.
    """

    saved_arguments = ("samples", "negatives", "momentum", "seed")

    def __init__(
        self,
        samples: int,
        teacher_layer_name: Any = None,
        student_layer_name: Any = None,
        negatives: int = 16384,
        temperature: float = 0.07,
        momentum: float = 0.5,
        dimensions: int = 128,
        other_classes_only: bool = False,
        seed: int | None = None,
    ):
        super().__init__(
            teacher_layer_name, student_layer_name, temperature, dimensions, other_classes_only
        )
        self.samples = check_integer("samples", samples, 1)
        self.negatives = check_integer("negatives", negatives, 1)
        remedy = "At 0 the bank forgets, at 1 it never learns."
        self.momentum = float(check_number("momentum", momentum, low=0, high=1, remedy=remedy))
        self.seed = None if seed is None else check_seed(seed)
        self.memory = ContrastMemory(
            self.samples, self.dimensions, self.seed, name="contrast_memory"
        )

    def build_layers(self, teacher_shapes: list[Any], student_shapes: list[Any]) -> None:
        super().build_layers(teacher_shapes, student_shapes)
        self.memory.build((None, self.dimensions))

    def per_example(
        self,
        teacher_outputs: Any,
        student_outputs: Any,
        y: Any = None,
        sample_index: Any = None,
        training: bool = False,
    ) -> Any:
        """Return one value per example, shape `(batch,)`.

        Args:
            teacher_outputs: Features `(batch, ...)`; maps are flattened.
            student_outputs: Features `(batch, ...)`, of any other shape.
            y: Labels, looked at with `other_classes_only` alone.
            sample_index: Numbers of the examples, `(batch,)`; needed in training alone.
            training: Whether to draw new negatives, and to move the memory.
        """
        self.memory.refuse_replicas()
        teacher, student = self.embed(teacher_outputs, student_outputs)
        if training and sample_index is None:
            raise ValueError(_NO_INDEX)
        index = None if not training else ops.cast(ops.reshape(sample_index, (-1,)), "int32")
        drawn = self.memory.draw(ops.shape(teacher)[0], self.negatives, training)
        labels = class_numbers(y) if self.other_classes_only else None
        valid = None
        if labels is not None:
            valid = ops.not_equal(ops.take(self.memory.labels, drawn), labels[:, None])
        value: Any = 0.0
        for anchor, other, bank, z in (
            (student, teacher, self.memory.teacher_bank, "log_z_student"),
            (teacher, student, self.memory.student_bank, "log_z_teacher"),
        ):
            scores = self.memory.scores(anchor, bank, drawn, self.temperature)
            positive = other if index is None else ops.take(bank, index, axis=0)
            own = ops.sum(anchor * positive, axis=-1) / self.temperature
            log_z = self.memory.log_z(z, ops.concatenate([own[:, None], scores], axis=1), training)
            value = value + noise_contrast(own - log_z, scores - log_z, self.samples, valid)
        if training:
            self.memory.remember(index, teacher, student, self.momentum, labels)
        return value


_NO_INDEX = (
    "ContrastiveRepresentation needs the number of each training example, and there is none. "
    'Received: no "sample_index". Pass x as a dict, {"images": images, "sample_index": '
    "np.arange(len(images))}, or use kd_keras.losses.InBatchContrast, which needs no numbers."
)
