"""The memory bank of contrastive distillation: what both networks last said of every example."""

from __future__ import annotations

import math
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from kd_keras.losses.contract.vectors import l2_normalize


class ContrastMemory(keras.layers.Layer):
    """Embeddings of all training examples, the constants Z, and the random state of the draws.

    All of it are variables that are not trained, so the Distiller saves and restores them, and puts
    them back if a step turns out not to be finite.

    Args:
        samples: Number of training examples.
        dimensions: Length of the embeddings.
        seed: Seed of the draws of negatives.
    """

    def __init__(self, samples: int, dimensions: int, seed: int | None, **kwargs: Any):
        super().__init__(**{**kwargs, "dtype": "float32", "trainable": False})
        self.samples = samples
        self.dimensions = dimensions
        self.seeds = keras.random.SeedGenerator(seed)

    def build(self, shape: Any = None) -> None:
        self.refuse_replicas()
        bound = 1.0 / math.sqrt(self.dimensions / 3.0)
        for name in ("teacher_bank", "student_bank"):
            bank = self.add_weight(
                name=name,
                shape=(self.samples, self.dimensions),
                initializer=keras.initializers.RandomUniform(-bound, bound),
                trainable=False,
            )
            setattr(self, name, bank)
        # -1 until the example has been seen.
        self.labels = self.add_weight(
            name="labels",
            shape=(self.samples,),
            dtype="int32",
            initializer=keras.initializers.Constant(-1),
            trainable=False,
        )
        for name in ("log_z_teacher", "log_z_student"):
            setattr(self, name, self.add_weight(name=name, shape=(), trainable=False))
        self.z_is_set = self.add_weight(
            name="z_is_set", shape=(), initializer="zeros", trainable=False
        )
        self.built = True

    def draw(self, batch: Any, negatives: int, training: bool) -> Any:
        """Return which examples are negatives, int32 `(batch, negatives)`, drawn with replacement.

        An evaluation moves no random state: its draws are the same each time.
        """
        seed = tf.cast(self.seeds.next(), tf.int32) if training else tf.constant([0, 0])
        # The generator is named because XLA would choose another one.
        return tf.random.stateless_uniform(
            (batch, negatives), seed, maxval=self.samples, dtype=tf.int32, alg="philox"
        )

    def scores(self, embeddings: Any, bank: Any, chosen: Any, temperature: Any) -> Any:
        """Return bank[chosen] . embeddings / T, of the shape of `chosen`.

        Scored against the whole bank and picked from that: fewer numbers than the embeddings of all
        the negatives, as long as the bank has fewer examples than negatives x dimensions.
        """
        everything = ops.matmul(embeddings, ops.transpose(ops.stop_gradient(bank))) / temperature
        return ops.take_along_axis(everything, chosen, axis=1)

    def log_z(self, name: str, scores: Any, training: bool) -> Any:
        """Return log Z: that of the first training batch, samples x the mean of exp(score).

        Args:
            name: "log_z_teacher" or "log_z_student".
            scores: Scores of positives and negatives, `(batch, 1 + negatives)`.
            training: Whether to keep it if there is none yet.
        """
        scores = ops.stop_gradient(scores)
        number = ops.cast(ops.size(scores), "float32")
        here = ops.logsumexp(scores) - ops.log(number / self.samples)
        known = ops.greater(ops.convert_to_tensor(self.z_is_set), 0.0)
        variable = getattr(self, name)
        value = ops.where(known, ops.convert_to_tensor(variable), here)
        if training:
            variable.assign(value)
        return value

    def remember(self, index: Any, teacher: Any, student: Any, momentum: Any, labels: Any) -> None:
        """Move the banks' rows of a batch to its embeddings: unit(m old + (1 - m) new)."""
        places = index[:, None]
        for bank, new in ((self.teacher_bank, teacher), (self.student_bank, student)):
            old = ops.take(bank, index, axis=0)
            moved = l2_normalize(momentum * old + (1.0 - momentum) * ops.stop_gradient(new))
            bank.assign(ops.scatter_update(bank, places, moved))
        if labels is not None:
            self.labels.assign(ops.scatter_update(self.labels, places, labels))
        seen = ops.cast(ops.greater(ops.shape(index)[0], 0), "float32")
        self.z_is_set.assign(ops.maximum(self.z_is_set, seen))

    def refuse_replicas(self) -> None:
        """Raise `ValueError` under a strategy with several replicas."""
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        if replicas > 1:
            raise ValueError(
                "The memory bank of ContrastiveRepresentation is one for all examples, and "
                "replicas would each write their own. Received: a distribution strategy with "
                f"{replicas} replicas. Use kd_keras.losses.InBatchContrast, or one device."
            )
