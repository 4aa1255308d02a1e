"""Try what a training would compute, before the first training of a run begins."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from kd_keras.recipes.stage import Stage
from kd_keras.training.batch import Batch


def refuse_frozen(network: keras.Model, stage: Stage) -> None:
    """Raise where a network that is to be trained has nothing that can be.

    Args:
        network: The network, as it is built.
        stage: Its training.

    Raises:
        ValueError: If it has no trainable weights.
    """
    if network.trainable_weights:
        return
    remedy = "Give it layers with weights."
    if network.weights:
        remedy = "Set `trainable = True` on the network and its layers, and save it again."
    raise ValueError(
        f"`{stage.role}` has no trainable weights, so there is nothing to train. Received: "
        f"{stage.role}={stage.network!r}, with {len(network.weights)} weights, all of them frozen. "
        f"{remedy}"
    )


def try_step(model: Any, loss: keras.losses.Loss, batch: Any) -> None:
    """Trace the views, the two networks and the losses of a step. Nothing is computed or changed.

    Args:
        model: A `kd_keras.Distiller` or `kd_keras.Supervised`, which is not used again.
        loss: The loss of the labels.
        batch: (x, y), a batch of the data.

    Raises:
        ValueError: If the policy cannot be applied to such images, or a loss not to the answers or
            taps of these networks.
    """
    model.compile(loss=loss)
    model.build_from_batch(data_batch=batch)

    def objective(x: Any, y: Any) -> Any:
        step = tf.zeros((), tf.int64)
        accepted, _ = model.accept(Batch(x, y), step)
        views = model.augment(accepted, step)
        with tf.GradientTape() as tape:
            teacher, student = model.forward(views, training=True, tape=tape)
            return model.losses_of(views, teacher, student, training=True).objective

    tf.function(objective, autograph=False).get_concrete_function(*batch)
