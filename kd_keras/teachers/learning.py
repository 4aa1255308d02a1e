"""A teacher that learns beside its student, from the labels of the same views."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import keras
import tensorflow as tf

from kd_keras.losses.contract.logit_form import LogitForm
from kd_keras.teachers.contract import Description, NetworkTeacher
from kd_keras.teachers.sharing import refuse_shared
from kd_keras.training import labels, mixing, replicas
from kd_keras.training.batch import Answer, Batch, Lesson
from kd_keras.training.inputs import check_inputs, take
from kd_keras.training.network import answer
from kd_keras.training.persistence import scale_loss_if_float16
from kd_keras.training.plugin import Results
from kd_keras.training.taps import forward


@keras.saving.register_keras_serializable(package="kd_keras")
class Learning(Description):
    """Co-training: a teacher that learns while it teaches, by an optimizer of its own.

    ```
    teacher:  label loss of the teacher + its regularisers
    student:  as the Distiller combines it, from what the teacher says in the same forward pass
    ```

    A `kd_keras.Distiller` takes it in the teacher's place. Both see the same augmented batch. The
    teacher runs once a step, as in training (dropout, batch statistics), and what it says before it
    moves is what the student hears; no gradient passes from the student into it. Then both move. In
    `evaluate` it infers.

    It is in every `kd_keras.Checkpoint` and `.keras` file, with the state of its optimizer. The
    network itself stays as it is: examine or save it afterwards by itself. Logged is
    `teacher_loss`, without regularisers.

    Args:
        model: The `keras.Model` that learns, with one output; trained or not.
        optimizer: Its `keras.optimizers.Optimizer`, or the name of one. With a float16 layer in the
            model it is wrapped in a `LossScaleOptimizer`.
        loss: Its loss on the labels, a `keras.losses.Loss` that averages over the batch.
        inputs: What it takes of the batch's x, as for `kd_keras.teachers.Frozen`.
        name: Name of the layer.

    Raises:
        ValueError: If an argument is none of these.

    Example:

    >>> import keras, kd_keras, numpy as np
    >>> def net(units):
    ...     return keras.Sequential(
    ...         [keras.Input((8,)), keras.layers.Dense(units), keras.layers.Dense(3)])
    >>> crossentropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    >>> teacher = kd_keras.teachers.Learning(net(16), keras.optimizers.SGD(0.1), crossentropy)
    >>> distiller = kd_keras.Distiller(teacher, net(2), kd_keras.losses.KLDivergence(4.0))
    >>> distiller.compile("adam", crossentropy)
    >>> history = distiller.fit(np.ones((4, 8)), np.array([0, 1, 2, 0]), verbose=0)
    >>> "teacher_loss" in history.history
    True

    Reference: one-way case of Zhang, Xiang, Hospedales, Lu, "Deep Mutual Learning", CVPR 2018,
    arXiv:1706.00384: the teacher does not listen.
    """

    def __init__(
        self, model: Any, optimizer: Any, loss: Any, inputs: Any = None, name: str | None = None
    ):
        if not isinstance(model, keras.Model):
            raise ValueError(f"`model` must be a keras.Model. Received: {type(model)}.")
        super().__init__(name or model.name)
        if not isinstance(loss, keras.losses.Loss):
            raise ValueError(
                "`loss` must be a keras.losses.Loss between labels and the teacher's output, such "
                "as keras.losses.SparseCategoricalCrossentropy(from_logits=True). Received: "
                f"loss={loss!r}."
            )
        mixing.refuse_unmixable_loss(loss)
        labels.warn_if_logits_meet_probability_loss(loss, model, role="teacher")
        self.model = model
        self.optimizer = scale_loss_if_float16(optimizer, model, auto_scale_loss=True)
        self.loss = loss
        self.inputs_form = check_inputs("inputs", inputs)
        self.built = bool(model.built)

    @property
    def variables(self) -> list[Any]:
        """All that moves while it teaches: the network's variables and the optimizer's."""
        return [*super().variables, *self.optimizer.variables]

    def call(self, x: Any, training: bool = False) -> Any:
        """Return the teacher's logits, as it infers."""
        outputs = forward(self.model, self.take(x), training=False)
        return LogitForm(self.model)(outputs)

    def take(self, x: Any) -> Any:
        """Return what the network takes of the batch's x."""
        return take("inputs", self.inputs_form, x)

    def teach(self, terms: Any, student: Any, augmentation: Any) -> LearningTeacher:
        refuse_shared(self.model, student)
        teacher = LearningTeacher(self, terms)
        teacher.refuse_losses(terms)
        if self.model.built:  # a file that is read brings the optimizer's state at once
            teacher.meet(student)
        return teacher

    def get_config(self) -> dict[str, Any]:
        parts = {
            "model": self.model,
            "optimizer": self.optimizer,
            "loss": self.loss,
            "inputs": self.inputs_form,
        }
        return {**keras.saving.serialize_keras_object(parts), "name": self.name}


class LearningTeacher(NetworkTeacher):
    """A `Learning` teacher in one Distiller."""

    network: Learning
    moves = True
    is_trained = False

    def __init__(self, network: Learning, terms: Sequence[Any]):
        self._model = network.model
        form = LogitForm(self._model, run=lambda x: self._run(x, training=False)[0])
        super().__init__(network, self._model, form, terms)
        self._loss_metric = keras.metrics.Mean(name="teacher_loss")
        self.metrics = [self._loss_metric]

    @property
    def holds(self) -> str:  # type: ignore[override]
        return f"the teacher {self._model.name!r} ends in a softmax: its logits are not known."

    @property
    def optimizer(self) -> Any:
        return self.network.optimizer

    @property
    def state(self) -> list[Any]:
        return [variable for variable in self._model.variables if not variable.trainable]

    def meet(self, student: Any) -> None:
        if not self._model.trainable_variables:
            raise ValueError(
                "A teacher that learns has weights that train. Received: teacher="
                f"{self._model.name!r} without. Set `{self._model.name}.trainable = True`, or pass "
                "the model itself, which then teaches as it is."
            )
        if not self.optimizer.built:
            self.optimizer.build(self._model.trainable_variables)

    def accept(self, batch: Batch, step: Any) -> tuple[Batch, list[Any]]:
        if step is not None and batch.y is None:
            raise ValueError(
                "A teacher that learns does so from labels, and the data have none. Received: "
                f"teacher={self._model.name!r}, y=None. Pass labels, or the model itself as "
                "teacher, which then teaches as it is."
            )
        return super().accept(batch, step)

    def answer(self, batch: Batch, watched: bool = False) -> Answer | None:
        if batch.y is None:  # an augmentation asks about its views, which are not learnt
            return self.answer_again(batch, watched)
        with tf.GradientTape() as tape:
            said = answer(self._run, self._form, batch.x, True, watched)
            loss, added = self._label_loss(batch, said.outputs), self._model.losses
            share = [replicas.share_of_replica(tf.cast(each, tf.float32)) for each in added]
            value = self.optimizer.scale_loss(tf.add_n([loss, *share]))
        gradients = tape.gradient(value, self._model.trainable_weights)
        return said._replace(lesson=Lesson(loss * replicas.count(), gradients))

    def answer_again(self, batch: Batch, watched: bool = False) -> Answer | None:
        return answer(self._run, self._form, batch.x, False, watched)

    def after_step(self, results: Results, step: Any) -> None:
        lesson = cast(Lesson, cast(Answer, results.teacher).lesson)
        weights = self._model.trainable_weights
        self.optimizer.apply_gradients(zip(lesson.gradients, weights, strict=True))
        size = tf.shape(keras.tree.flatten(results.batch.x)[0])[0]
        self._loss_metric.update_state(lesson.loss, sample_weight=size)

    def _label_loss(self, batch: Batch, outputs: Any) -> tf.Tensor:
        if keras.tree.is_nested(outputs) or keras.tree.is_nested(batch.y):
            raise ValueError(
                "A teacher that learns has one output and one label for each example. Received: "
                f"outputs {keras.tree.map_structure(lambda leaf: tuple(leaf.shape), outputs)} of "
                f"{self._model.name!r}, labels as {type(batch.y).__name__}. Train it by itself, "
                "with kd_keras.Supervised, and pass the model as teacher."
            )
        loss = mixing.label_loss(self.network.loss, batch, outputs)
        return tf.cast(loss, tf.float32)

    def _run(self, x: Any, training: bool) -> tuple[Any, dict[str, Any]]:
        return self._tapped(self.network.take(x), training=training)
