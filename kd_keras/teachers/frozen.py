"""A teacher that only infers: nothing of it ever moves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from kd_keras.arguments import check_temperature, is_integer
from kd_keras.compat.structure import mask_of, with_mask
from kd_keras.losses.contract.logit_form import FORMS, LogitForm
from kd_keras.teachers.contract import Description, NetworkTeacher
from kd_keras.teachers.inference import MODES, TeacherInference
from kd_keras.teachers.remembered import Remembered, can_be_remembered
from kd_keras.teachers.sharing import freeze
from kd_keras.training.batch import Answer, Batch
from kd_keras.training.inputs import check_inputs, take
from kd_keras.training.network import answer
from kd_keras.training.taps import forward


@keras.saving.register_keras_serializable(package="kd_keras")
class Frozen(Description):
    """A trained network that teaches as it is, with inputs, outputs and classes of its own.

    ```
    logits of the network        where it returns logits
    log p,  p >= 1e-30           where it ends in a softmax: its logits up to a constant
    log p - log(1 - p)           where it ends in a sigmoid: its logits

    each divided by `temperature`
    ```

    `kd_keras.Distiller(teacher, ...)` makes a plain `keras.Model` into one. Write it out where the
    teacher differs from the student in more than its weights. The network is not changed but for
    `trainable = False`.

    Args:
        model: The trained `keras.Model` (or `keras.Layer`). Layers in which nothing trains, such as
            Normalization, TextVectorization or Rescaling, may be shared with the student.
        inputs: What it takes of the batch's x: `None` for all of it, a key of a dict x, or a
            function or layer from x to its inputs, in the graph: another size, other channels, the
            `preprocess_input` of `keras.applications`. It sees the augmented batch.
        outputs: "logits", "probabilities", or "auto": its graph tells, and where it does not, a run
            on made up inputs.
        classes: For each class of the student, the teacher's class that it is: a subset, another
            order. `None` where both have the same.
        inference: "auto": as a graph of constants, with batch normalisation merged, where that
            differs from the Keras model by at most 1e-4 of the largest output, else as the Keras
            model; the log "kd_keras" says which. "keras": as the Keras model, which a callback may
            change while it teaches. "bfloat16": as a graph of constants in bfloat16, whatever the
            difference, which the log tells; faster on devices that compute in bfloat16.
        temperature: What its logits are divided by before any loss sees them, > 0: the one by which
            `kd_keras.evaluate.fit_temperature` calibrates it. Layers that are tapped stay as they
            are.
        name: Name of the layer.

    Raises:
        ValueError: If an argument is none of these.

    Example:

    >>> import keras, kd_keras, numpy as np
    >>> teacher = keras.Sequential(
    ...     [keras.Input((16, 16, 3)), keras.layers.Flatten(),
    ...      keras.layers.Dense(5, activation="softmax")])
    >>> student = keras.Sequential(
    ...     [keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(2)])
    >>> frozen = kd_keras.teachers.Frozen(
    ...     teacher, inputs=keras.layers.Resizing(16, 16), classes=[4, 1])
    >>> images = np.ones((4, 8, 8, 3), "float32")
    >>> frozen(images).shape
    TensorShape([4, 2])
    >>> distiller = kd_keras.Distiller(frozen, student, kd_keras.losses.KLDivergence(4.0))
    >>> distiller.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    >>> history = distiller.fit(images, np.array([0, 1, 1, 0]), verbose=0)
    """

    def __init__(
        self,
        model: Any,
        inputs: Any = None,
        outputs: str = "auto",
        classes: Sequence[int] | None = None,
        inference: str = "auto",
        name: str | None = None,
        *,
        temperature: float = 1.0,
    ):
        if not isinstance(model, keras.Layer):
            raise ValueError(
                f"`teacher` must be a keras.Model (or a keras.Layer). Received: {type(model)}."
            )
        if outputs not in FORMS:
            raise ValueError(
                "`outputs` must be 'auto', 'logits' or 'probabilities': what the teacher returns. "
                f"Received: outputs={outputs!r}."
            )
        super().__init__(name or model.name)
        self.model = model
        self.inputs_form = check_inputs("inputs", inputs)
        self.outputs_form = outputs
        self.classes = _check_classes(classes)
        self.inference = check_inference(inference, "inference")
        self.temperature = check_temperature("temperature", temperature)
        self.form = LogitForm(model, outputs, lambda x: forward(model, self.take(x), False))
        self.built = bool(model.built)

    def call(self, x: Any, training: bool = False) -> Any:
        """Return the teacher's logits of the student's inputs, in the student's classes."""
        outputs = forward(self.model, self.take(x), training=False)
        self.form.look(x)
        return self.as_logits(outputs)

    def take(self, x: Any) -> Any:
        """Return what the network takes of the batch's x."""
        return take("inputs", self.inputs_form, x)

    def as_logits(self, outputs: Any) -> Any:
        """Return the network's outputs as logits of the student's classes."""
        logits, classes, temperature = self.form(outputs), self.classes, self.temperature
        if classes is not None:
            logits = keras.tree.map_structure(lambda leaf: _in_classes(leaf, list(classes)), logits)
        if temperature != 1.0:
            logits = keras.tree.map_structure(
                lambda leaf: with_mask(leaf / temperature, mask_of(leaf)), logits
            )
        return logits

    def teach(self, terms: Any, student: Any, augmentation: Any) -> FrozenTeacher:
        teacher = FrozenTeacher(self, self, terms)
        teacher.refuse_losses(terms)
        freeze(self.model, student)
        return teacher

    def get_config(self) -> dict[str, Any]:
        serialize = keras.saving.serialize_keras_object
        return {
            "model": serialize(self.model),
            "inputs": serialize(self.inputs_form),
            "outputs": self.outputs_form,
            "classes": self.classes,
            "inference": self.inference,
            "temperature": self.temperature,
            "name": self.name,
        }


class FrozenTeacher(NetworkTeacher):
    """A `Frozen` teacher in one Distiller.

    Args:
        frozen: What describes it.
        network: What the Distiller keeps: the description, or the plain model inside.
        terms: The distillation losses.
    """

    def __init__(self, frozen: Frozen, network: Any, terms: Sequence[Any]):
        super().__init__(network, frozen.model, frozen.form, terms)
        self._frozen = frozen
        self.moves = frozen.inference == "keras"
        self._remembered: dict[Any, Remembered | None] = {}
        self.inference = TeacherInference(self._run, frozen.model, frozen.inference)

    @property
    def version(self) -> int:
        return self.inference.version

    @property
    def holds(self) -> str:  # type: ignore[override]
        return (
            f"the teacher {self._frozen.model.name!r} ends in a softmax, so only its "
            "log-probabilities are known."
        )

    def answer(self, batch: Batch, watched: bool = False) -> Answer | None:
        asked = self.asked(batch, watched)
        if asked is not None:
            return asked
        return answer(self.inference, self._frozen.as_logits, batch.x, False, watched)

    def answer_again(self, batch: Batch, watched: bool = False) -> Answer | None:
        asks_more = self._tapped.names or watched or self._needs_outputs
        is_plain = not tf.distribute.has_strategy() and can_be_remembered(batch.x)
        if asks_more or not is_plain or not self.inference.is_constant(batch.x):
            return self.answer(batch, watched)
        specs = keras.tree.map_structure(lambda t: tf.TensorSpec(t.shape, t.dtype), batch.x)
        key = (self.inference.version, repr(specs))
        if key not in self._remembered:
            with tf.init_scope():
                self._remembered = {key: self._remember(specs)}
        known = self._remembered[key]
        if known is None:
            return self.answer(batch, watched)
        logits = known(batch.x)
        return Answer(logits, {}, logits)

    def _remember(self, specs: Any) -> Remembered | None:
        def ask(x: Any) -> Any:
            found = self.answer(Batch(x))
            return None if found is None else found.logits

        try:
            return Remembered(ask, specs)
        except ValueError:  # several outputs, or one that is no row of classes
            return None

    def offer_sample(self, x: Any) -> None:
        self.inference.offer_sample(x)

    def refresh(self, is_moving: bool) -> None:
        if not self.moves:
            self.inference.refresh(is_moving)

    def forget(self) -> None:
        self.inference.forget()
        self._remembered.clear()

    def _run(self, x: Any, training: bool = False) -> tuple[Any, dict[str, Any]]:
        return self._tapped(self._frozen.take(x), training=False)


def check_inference(mode: Any, argument: str) -> str:
    """Return how a teacher runs, or raise `ValueError`; `argument` is its name for the error."""
    if mode not in MODES:
        raise ValueError(
            f"`{argument}` must be 'auto' (a graph of constants where that is exact), "
            "'keras' (the Keras model as it is) or 'bfloat16' (a graph of constants in bfloat16). "
            f"Received: {argument}={mode!r}."
        )
    return mode


def _check_classes(classes: Any) -> tuple[int, ...] | None:
    if classes is None:
        return None
    chosen = list(classes) if isinstance(classes, Iterable) and not isinstance(classes, str) else []
    if (
        not chosen
        or not all(map(is_integer, chosen))
        or min(chosen) < 0
        or len(set(chosen)) < len(chosen)
    ):
        raise ValueError(
            "`classes` must list, for each class of the student, the number of the teacher's class "
            "that it is, from 0 and each once, such as [3, 0, 7]; None where both have the same "
            f"classes. Received: classes={classes!r}."
        )
    return tuple(int(number) for number in chosen)


def _in_classes(logits: Any, classes: list[int]) -> Any:
    width = logits.shape[-1]
    if width is not None and max(classes) >= width:
        raise ValueError(
            f"`classes` must be classes of the teacher, 0..{width - 1}. Received: classes={classes}"
            "."
        )
    return with_mask(ops.take(logits, classes, axis=-1), mask_of(logits))
