"""Training without a teacher, in every other respect as the Distiller trains."""

from __future__ import annotations

import functools
from typing import Any

import keras
import tensorflow as tf

from kd_keras.augment.adapter import as_augmentation, augment_batch
from kd_keras.graph_errors import readable_errors
from kd_keras.step import mixing
from kd_keras.step.counter import add_step_counter
from kd_keras.step.guard import Snapshot, stop_unless_finite
from kd_keras.step.multi_worker import MultiWorkerSteps
from kd_keras.step.persistence import Untracked, scale_loss_if_float16


class Supervised(MultiWorkerSteps):
    """Train a network on augmented views and their labels, with no teacher.

    The fair counterpart of `kd_keras.Distiller`: a student trained alone with the same seed,
    optimizer and augmentation sees the very views that a distilled student sees, step by step, and
    minimises the same loss on the labels. Teachers are trained with it too. A loss that is not
    finite stops training with the weights and statistics of the last good step in place.

    Args:
        network: The `keras.Model` to train. Afterwards use, evaluate and save it by itself.
        augmentation: As the Distiller takes it; `None` for none.
        name: Name of the model.

    Raises:
        ValueError: If the augmentation needs a teacher (`Pick`, `Feedback`).

    Example:

    >>> import keras, numpy as np
    >>> from kd_keras.supervised import Supervised
    >>> network = keras.Sequential([keras.Input((8,)), keras.layers.Dense(3)])
    >>> model = Supervised(network)
    >>> model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    >>> history = model.fit(np.ones((4, 8)), np.array([0, 1, 2, 0]), verbose=0)
    >>> sorted(history.history)
    ['loss']
    """

    def __init__(self, network: keras.Model, augmentation: Any = None, name: str = "supervised"):
        super().__init__(name=name)
        # XLA would compile the whole step with the augmentation in it, which most layers of
        # keras-cv do not survive.
        self.supports_jit = False
        self.autocast = False  # the network casts its own inputs, by its own policy
        self.network = network
        normalised = as_augmentation(augmentation)
        if normalised is not None and normalised.needs_teacher:
            raise ValueError(
                "`augmentation` asks a teacher, and here is none. Received: augmentation="
                f"{augmentation!r}. Use it with `kd_keras.Distiller`, or pass its policy here."
            )
        self._augmentation = Untracked(normalised, augmentation)
        self.step = add_step_counter(self)

    def call(self, inputs: Any, training: Any = None) -> Any:
        """Return the network's outputs."""
        return self.network(inputs, training=training)

    @functools.wraps(keras.Model.compile)
    def compile(
        self, optimizer: Any = "rmsprop", *args: Any, auto_scale_loss: bool = True, **kwargs: Any
    ) -> None:
        optimizer = scale_loss_if_float16(optimizer, self.network, auto_scale_loss)
        super().compile(optimizer, *args, auto_scale_loss=auto_scale_loss, **kwargs)

    @functools.wraps(keras.Model.fit)
    def fit(self, *args: Any, **kwargs: Any) -> Any:
        with readable_errors():
            return super().fit(*args, **kwargs)

    def train_step(self, data: Any) -> dict[str, Any]:
        """Augment once, and apply the gradients if they are finite."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        # No tape is open here: views are data.
        views = augment_batch(
            self._augmentation.normalised, x, y, sample_weight, tf.convert_to_tensor(self.step)
        )
        if views.share is not None:
            mixing.refuse_unmixable_loss(self.loss)
        snapshot = Snapshot([v for v in self.network.variables if not v.trainable])
        with tf.GradientTape() as tape:
            y_pred = self.network(views.x, training=True)
            loss = tf.cast(mixing.label_loss(self._compile_loss, views, y_pred), tf.float32)
            for regulariser in self.network.losses:
                loss += tf.cast(self._aggregate_additional_loss(regulariser), tf.float32)
            objective = self.optimizer.scale_loss(loss)
        gradients = tape.gradient(objective, self.trainable_weights)
        checks = stop_unless_finite(
            gradients,
            {"loss": loss},
            snapshot,
            check_gradients=not isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer),
        )
        with tf.control_dependencies(checks):
            # Without the identities the optimizer could start before the checks are through.
            gradients = [None if g is None else tf.identity(g) for g in gradients]
            self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
            self.step.assign_add(1)
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        batch = tf.shape(keras.tree.flatten(x)[0])[0]
        self._loss_tracker.update_state(loss * replicas, sample_weight=batch)
        return self.compute_metrics(views.x, views.y, y_pred, views.sample_weight)
