"""From a batch and a step to rows: draw the views, ask the teacher, keep the likeliest classes."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kd_keras.arguments import check_integer
from kd_keras.augment.adapter import Chain, augment_batch
from kd_keras.replay.rows import RowFormat
from kd_keras.replay.training_data import TrainingData
from kd_keras.replay.view_identity import view_identity
from kd_keras.teachers import Frozen
from kd_keras.training.batch import Batch
from kd_keras.training.symbolic import SymbolicCall


class Labeller:
    """The teacher behind an augmentation, as one graph from a batch to what is stored.

    Args:
        teacher: A `keras.Model`, or a `kd_keras.teachers.Frozen` that describes one.
        chain: What `replayable` returned.
        training: The data, whose shapes it is traced for.
        k: Classes to keep, `None` for all.

    Raises:
        ValueError: If the teacher's output is not `(batch, classes)` of classes that compete, or k
            is out of range.
    """

    def __init__(self, teacher: Any, chain: Chain | None, training: TrainingData, k: int | None):
        self.teacher = teacher if isinstance(teacher, Frozen) else Frozen(teacher)
        self._chain = chain
        shape = training.inputs["shape"]
        example = keras.KerasTensor((None, *shape), dtype=training.inputs["dtype"])
        if not self.teacher.model.built:
            self.teacher(tf.zeros((1, *shape), training.inputs["dtype"]))
        self.rows = RowFormat(*_checked(self.teacher, example, k))
        signature = [_any_batch_size(training.spec), tf.TensorSpec((), tf.int64)]
        self._function = tf.function(self._label, input_signature=signature, autograph=False)
        self.answers = tf.function(self._answers, input_signature=signature, autograph=False)
        self._salt = 0

    def of(self, salt: int) -> Labeller:
        """Return this labeller, for the recording of that salt."""
        self._salt = salt
        return self

    def __call__(self, batch: Any, step: int) -> np.ndarray:
        """Return the rows of a batch at a step of training."""
        identity, ids, log_probabilities = self._function(batch, step)
        if np.isnan(log_probabilities).any():
            raise ValueError(
                f"The teacher's answers at step {step} are not finite. Nothing of that shard is "
                "kept. Check the teacher and the range of the images that it was trained on."
            )
        return self.rows.packed(identity.numpy(), ids.numpy(), log_probabilities.numpy())

    def _answers(self, batch: Any, step: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """Return identities and log-probabilities of all classes of the views of a batch.

        Args:
            batch: Of the training data.
            step: Of training, an int64 scalar.

        Returns:
            `(batch,)` int64 and `(batch, classes)` float32.
        """
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(batch)
        views = augment_batch(self._chain, Batch(x, y, sample_weight), step)
        positions = tf.range(tf.shape(x)[0])
        identity = view_identity(x, step, positions, self._salt)
        return identity, tf.nn.log_softmax(tf.cast(self.teacher(views.x), tf.float32))

    def _label(self, batch: Any, step: Any) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        identity, log_probabilities = self._answers(batch, step)
        return (identity, *self.rows.chosen(log_probabilities))


def fingerprint(teacher: Any) -> str:
    """Return the SHA-256 of a network's layers and weights, hexadecimal.

    The same whether it is frozen or not.
    """
    digest = hashlib.sha256()
    try:
        config = json.dumps(_without_trainable(teacher.get_config()), sort_keys=True, default=repr)
    except NotImplementedError:  # a subclassed model; its weights tell it from others
        config = type(teacher).__name__
    digest.update(config.encode())
    for weight in teacher.weights:
        values = np.ascontiguousarray(keras.ops.convert_to_numpy(weight))
        digest.update(f"{values.shape}{values.dtype}".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()


def _checked(teacher: Frozen, example: Any, k: int | None) -> tuple[int, int]:
    outputs = SymbolicCall(teacher).compute_output_spec(example)
    if keras.tree.is_nested(outputs) or len(outputs.shape) != 2:
        raise ValueError(
            "`teacher` must return one tensor (batch, classes) to be recorded. Received: outputs "
            f"{keras.tree.map_structure(lambda t: tuple(t.shape), outputs)}. Dense outputs and "
            "several outputs need the live teacher."
        )
    if "sigmoid" in teacher.form.kinds:
        raise ValueError(
            "`teacher` must tell classes that exclude each other to be recorded, for what is kept "
            f"is a distribution over them. Received: {teacher.model.name!r}, which ends in a "
            "sigmoid. Distil with the live teacher: the Distiller takes its log-odds."
        )
    classes = outputs.shape[-1]
    if classes is None or classes < 2:
        raise ValueError(
            "`teacher` must return two classes or more to be recorded. Received: outputs "
            f"{tuple(outputs.shape)}. Turn one binary logit z into the two logits [z, 0]."
        )
    if k is None:
        return classes, classes
    return classes, min(check_integer("k", k, 1, remedy="None records all classes."), classes)


def _without_trainable(config: Any) -> Any:
    if isinstance(config, dict):
        return {k: _without_trainable(v) for k, v in config.items() if k != "trainable"}
    return [_without_trainable(v) for v in config] if isinstance(config, (list, tuple)) else config


def _any_batch_size(spec: Any) -> Any:
    return keras.tree.map_structure(
        lambda part: tf.TensorSpec([None, *part.shape[1:]], part.dtype), spec
    )
