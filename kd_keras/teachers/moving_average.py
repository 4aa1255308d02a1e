"""A teacher that is the average of what the student was."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kd_keras.arguments import check_number, check_truth
from kd_keras.losses.contract.logit_form import LogitForm
from kd_keras.losses.contract.schedules import at_step, number_or_schedule
from kd_keras.teachers.contract import Description, NetworkTeacher
from kd_keras.training.batch import Answer, Batch
from kd_keras.training.inputs import check_inputs, take
from kd_keras.training.network import answer
from kd_keras.training.plugin import Results
from kd_keras.training.taps import forward

# Added to the seeds of the student's dropout: both draw, and not the same.
_OTHER_SEED = 0x1E3779B9


class _Followed:
    """The student, and which variable of the average belongs to which of its own.

    A plain object, so that Keras does not track what is in it.
    """

    def __init__(self) -> None:
        self.student: Any = None
        self.pairs: list[tuple[Any, Any]] = []


@keras.saving.register_keras_serializable(package="kd_keras")
class MovingAverage(Description):
    """The mean teacher: the student with weights that are the moving average of its own.

    ```
    after step t = 1, 2, ...:   average = a * average + (1 - a) * weight
    a = momentum;   with warm_up:   a = min(1 - 1 / (t + 1), momentum)
    ```

    A `kd_keras.Distiller` takes it in the teacher's place; it begins as the student is when
    training begins. As published, trained weights are averaged, and in training the teacher runs as
    the student does: dropout draws a mask of its own, batch normalisation uses the batch, and its
    running statistics are those of the teacher's own forward passes. In `evaluate` it infers.

    It belongs to one Distiller. `kd_keras.Checkpoint` and `.keras` files keep it; `give_to` writes
    it into a network, for it is often better than the student.

    Args:
        momentum: From 0 to below 1, or a `keras.optimizers.schedules.LearningRateSchedule` over the
            updates.
        warm_up: Whether the average is the plain mean while few steps were taken.
        inputs: What it takes of the batch's x, as for `kd_keras.teachers.Frozen`: the Distiller's
            `student_inputs`, or another view of the same example.
        name: Name of the layer.

    Raises:
        ValueError: If an argument is none of these.

    Example:

    >>> import keras, kd_keras, numpy as np
    >>> student = keras.Sequential([keras.Input((8,)), keras.layers.Dense(3)])
    >>> teacher = kd_keras.teachers.MovingAverage(momentum=0.99)
    >>> distiller = kd_keras.Distiller(teacher, student, kd_keras.losses.ProbabilityMSE())
    >>> distiller.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    >>> history = distiller.fit(np.ones((4, 8)), np.array([0, 1, 2, 0]), verbose=0)
    >>> averaged = keras.models.clone_model(student)
    >>> teacher.give_to(averaged)

    Reference: Tarvainen, Valpola, "Mean teachers are better role models: Weight-averaged
    consistency targets improve semi-supervised deep learning results", NeurIPS 2017,
    arXiv:1703.01780.
    """

    def __init__(
        self,
        momentum: Any = 0.999,
        warm_up: bool = True,
        inputs: Any = None,
        name: str = "moving_average",
    ):
        super().__init__(name)
        remedy = "1 would never move."
        check = partial(check_number, low=0, below=1, remedy=remedy)
        self.momentum = number_or_schedule("momentum", momentum, check)
        check_truth("warm_up", warm_up)
        self.warm_up = warm_up
        self.inputs_form = check_inputs("inputs", inputs)
        self.updates: Any = None
        self._followed = _Followed()
        self.built = True

    def network_to_tap(self, terms: Any, student: Any) -> Any:
        """Return the student: the average has its layers."""
        return student

    def teach(self, terms: Any, student: Any, augmentation: Any) -> AveragedTeacher:
        followed = self._followed
        if followed.student not in (None, student):
            raise ValueError(
                "A MovingAverage holds the average of one student. Received: it follows "
                f"{followed.student.name!r}, and the Distiller trains {student.name!r}. Make a new "
                "MovingAverage for each Distiller."
            )
        followed.student = student
        teacher = AveragedTeacher(self, terms)
        teacher.refuse_losses(terms)
        teacher.meet(student)
        return teacher

    def begin(self) -> None:
        """Take over the student as it is, unless a step was averaged already; nothing is traced."""
        student = self._followed.student
        if self.updates is None:
            if not student.built:
                return
            self.updates = self.add_weight(
                name="updates", shape=(), dtype="int64", initializer="zeros", trainable=False
            )
            self._followed.pairs = [(theirs, self._like(theirs)) for theirs in student.variables]
        if keras.ops.convert_to_numpy(self.updates) > 0:
            return
        weights = {id(weight) for weight in student.weights}
        for theirs, own in self._followed.pairs:
            value = keras.ops.convert_to_numpy(theirs)
            own.assign(value if id(theirs) in weights else _otherwise_seeded(value))

    def _like(self, variable: Any) -> Any:
        is_float = keras.backend.is_float_dtype(variable.dtype)
        return self.add_weight(
            name=variable.path.replace("/", "_"),
            shape=variable.shape,
            dtype="float32" if is_float else variable.dtype,
            initializer="zeros",
            trainable=False,
        )

    def run(self, network: Any, x: Any, training: bool) -> Any:
        """Return what a call of the student gives with the average in the place of its weights.

        Args:
            network: Calls the student, as (x, training=...).
            x: The batch's x.
            training: Whether it runs as in training, which moves its statistics and seeds.
        """
        pairs = self._average()
        given = [(theirs, keras.ops.convert_to_tensor(own)) for theirs, own in pairs]
        with keras.StatelessScope(state_mapping=given) as scope:
            results = network(take("inputs", self.inputs_form, x), training=training)
        if training:
            for theirs, own in pairs:
                if not theirs.trainable:
                    own.assign(scope.get_current_value(theirs))
        return results

    @property
    def moved_by_running(self) -> list[Any]:
        """What the forward pass moves: statistics and seeds, not what is averaged."""
        return [own for theirs, own in self._followed.pairs if not theirs.trainable]

    def _average(self) -> list[tuple[Any, Any]]:
        if self.updates is None:
            raise ValueError(
                "A MovingAverage is the average of a student, and has none yet. Received: a call "
                "before a Distiller with a built student has it. Pass it to kd_keras.Distiller("
                "kd_keras.teachers.MovingAverage(), student, ...)."
            )
        return self._followed.pairs

    def update(self) -> None:
        """Average what an optimizer has just moved; in the graph of the step."""
        self.updates.assign_add(1)
        count = tf.cast(tf.convert_to_tensor(self.updates), tf.float32)
        share = tf.convert_to_tensor(at_step(self.momentum, self.updates), tf.float32)
        if self.warm_up:
            share = tf.minimum(1.0 - 1.0 / (count + 1.0), share)
        for theirs, own in self._followed.pairs:
            if theirs.trainable:
                weight = tf.cast(tf.convert_to_tensor(theirs), tf.float32)
                own.assign(share * tf.convert_to_tensor(own) + (1.0 - share) * weight)

    def call(self, x: Any, training: bool = False) -> Any:
        """Return the logits of the average, as it infers."""
        student = self._followed.student
        outputs = self.run(partial(forward, student), x, training=False)
        return LogitForm(student)(outputs)

    def give_to(self, model: Any) -> None:
        """Write the averaged weights, and their statistics, into a network like the student.

        Args:
            model: The student itself, or a clone of it.

        Raises:
            ValueError: If there is no average yet, or the network has other weights.
        """
        own = {id(theirs): own for theirs, own in self._average()}
        model.set_weights(
            [keras.ops.convert_to_numpy(own[id(w)]) for w in self._followed.student.weights]
        )

    def get_config(self) -> dict[str, Any]:
        serialize = keras.saving.serialize_keras_object
        return {
            "momentum": serialize(self.momentum),
            "warm_up": self.warm_up,
            "inputs": serialize(self.inputs_form),
            "name": self.name,
        }


class AveragedTeacher(NetworkTeacher):
    """A `MovingAverage` in one Distiller."""

    network: MovingAverage
    moves = True
    is_trained = False

    def __init__(self, network: MovingAverage, terms: Sequence[Any]):
        student = network._followed.student
        super().__init__(network, student, LogitForm(student, run=self._outputs), terms)

    @property
    def holds(self) -> str:  # type: ignore[override]
        return "the student that it averages ends in a softmax: its logits are not known."

    @property
    def state(self) -> list[Any]:
        return self.network.moved_by_running

    def meet(self, student: Any) -> None:
        self.network.begin()

    def refresh(self, is_moving: bool) -> None:
        self.network.begin()

    def answer(self, batch: Batch, watched: bool = False) -> Answer | None:
        asked = self.asked(batch, watched)
        return self._answer(batch, True, watched) if asked is None else asked

    def answer_again(self, batch: Batch, watched: bool = False) -> Answer | None:
        return self._answer(batch, False, watched)

    def after_step(self, results: Results, step: Any) -> None:
        self.network.update()

    def _answer(self, batch: Batch, training: bool, watched: bool) -> Answer:
        run = partial(self.network.run, self._tapped)
        return answer(run, self._form, batch.x, training, watched)

    def _outputs(self, x: Any) -> Any:
        return self.network.run(self._tapped, x, training=False)[0]


def _otherwise_seeded(state: np.ndarray) -> np.ndarray:
    """Return the state of a seed generator, (seed, count), with another seed."""
    state = state.copy()
    if np.issubdtype(state.dtype, np.integer) and state.size:
        state.flat[0] = (int(state.flat[0]) + _OTHER_SEED) % 2**31
    return state
