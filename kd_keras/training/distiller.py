"""The Distiller: a Keras model whose training step teaches a student."""

from __future__ import annotations

from typing import Any

import keras

from kd_keras.teachers import Frozen, Named
from kd_keras.teachers.contract import is_description, network_to_tap
from kd_keras.teachers.frozen import check_inference
from kd_keras.training import persistence, validation
from kd_keras.training.building import refuse_shifted_student
from kd_keras.training.feedback import Feedback
from kd_keras.training.inputs import check_inputs
from kd_keras.training.logs import StepLogs, refuse_taken_names
from kd_keras.training.model import TrainingModel
from kd_keras.training.multi_worker import has_other_workers
from kd_keras.training.network import Network
from kd_keras.training.parts import Parts
from kd_keras.training.sample_index import SampleIndex
from kd_keras.training.suspicion import Suspicion
from kd_keras.training.term import make_terms
from kd_keras.training.weighing import Weighing, add_loss_sizes

# The attributes that say what is trained; they may be set anew before `compile`.
_SETTINGS = (
    "teacher",
    "student",
    "distillation_losses",
    "distillation_loss_weights",
    "student_loss_weight",
    "combine",
    "balance",
    "teacher_inference",
    "student_inputs",
)


@keras.saving.register_keras_serializable(package="kd_keras")
class Distiller(TrainingModel):
    """Train a student on the labels and on a teacher that labels every augmented view.

    ```
    combine="convex":  loss = w * student_loss + (1 - w) * sum_i(weight_i * distillation_loss_i) + R
    combine="sum":     loss = student_loss + sum_i(weight_i * distillation_loss_i) + R
    ```

    R are the student's regularisers. One step augments the batch once, outside any XLA cluster,
    runs the frozen teacher once and the student once, and moves the student alone. `evaluate` takes
    the data as given.

    Logs: `loss`, `student_loss`, `distillation_loss`, `total_loss` (equal to `loss`, Keras's name),
    one entry for each distillation loss where there are several, `agreement` (share of examples for
    which student and teacher pick the same class), in training `teacher_accuracy` (share of labels
    that the teacher gives itself, on the views), and the compiled metrics.

    The constructor is a superset of `keras.distillation.Distiller`, and the losses of either
    package work in the other's distiller.

    Args:
        teacher: A trained `keras.Model` (or `keras.Layer`); it is frozen (`trainable = False`). Or
            a description of one: `kd_keras.teachers.Frozen` for a teacher with other inputs,
            classes or outputs, `Ensemble` for several that teach as one, `MovingAverage` for the
            student's own average, `Peers` for students that teach each other, `Learning` for one
            that learns beside the student, `kd_keras.replay.ReplayTeacher` for a recorded one. Or a
            dict of teachers by name, each with losses of its own. See docs/teachers.md.
        student: The `keras.Model` to train. It must not share layers that train with the teacher.
            It may end in a softmax or sigmoid: losses between logits take its log-probabilities or
            log-odds.
        distillation_losses: A `keras.distillation.DistillationLoss`, or a list of them. They are
            descriptions: the Distiller works on copies, so one loss may serve many Distillers. Of
            named teachers a dict that says whose they are; their logs begin with the name.
        distillation_loss_weights: One number >= 0 for each loss, in their form; `None` means 1 for
            each. Each may be a `keras.optimizers.schedules.LearningRateSchedule` over the steps, as
            may `student_loss_weight`, and the temperatures and weights inside the losses; the logs
            show what they are.
        student_loss_weight: w, from 0 to 1. With 0 labels are not needed. With `combine="sum"` the
            student's loss has weight 1, and 0 here switches it off.
        name: Name of the model.
        augmentation: What both networks see instead of the batch: a policy of `kd_keras.augment`, a
            Keras or keras-cv layer, a callable on images (or, if it names `y`, on images and
            labels), or a list of those. `None` for none.
        combine: "convex" or "sum".
        balance: "ema" divides each loss, the student's too, by a running mean of its size (decay
            0.99) before the weights act, so that these say what share each has; `None` does not.
        teacher_inference: How a plain teacher runs while it teaches, as `inference` of
            `kd_keras.teachers.Frozen`: "auto" as a graph of constants where that is exact, "keras"
            as the Keras model, which a callback may change, "bfloat16" as a graph in bfloat16.
        student_inputs: What the student takes of x: `None` for all of it, a key of a dict x, or a
            function or layer of x.
        spatial: Which labels belong to places of the picture and move with it when it is augmented:
            `None` for those of the size of the image, `(batch, height, width)` with or without a
            fourth axis; `False` for none; or, in the form of y, `True` (a label map), `False`,
            "keypoints" (x, y in pixels), or the format of boxes by keras-cv's name, as in
            `{"mask": True, "boxes": "xyxy", "points": "keypoints"}`. See docs/dense.md.
        **kwargs: Passed on to `keras.Model`.

    Raises:
        ValueError: For models that do not fit together, losses that are none, and weights out of
            range; the message says what to do.

    Example:

    >>> import keras, kd_keras, numpy as np
    >>> teacher = keras.Sequential([keras.Input((8,)), keras.layers.Dense(3)])
    >>> student = keras.Sequential([keras.Input((8,)), keras.layers.Dense(3)])
    >>> distiller = kd_keras.Distiller(teacher, student, kd_keras.losses.KLDivergence(4.0))
    >>> distiller.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    >>> history = distiller.fit(np.ones((4, 8)), np.array([0, 1, 2, 0]), verbose=0)
    >>> sorted(history.history)
    ['agreement', 'distillation_loss', 'loss', 'student_loss', 'teacher_accuracy', 'total_loss']

    Reference: Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", 2015,
    arXiv:1503.02531; for the view that both networks share: Beyer et al., "Knowledge distillation:
    A good teacher is patient and consistent", CVPR 2022, arXiv:2106.05237.
    """

    def __init__(
        self,
        teacher: Any,
        student: Any,
        distillation_losses: Any,
        distillation_loss_weights: Any = None,
        student_loss_weight: float = 0.5,
        name: str = "distiller",
        *,
        augmentation: Any = None,
        combine: str = "convex",
        balance: str | None = None,
        teacher_inference: str = "auto",
        student_inputs: Any = None,
        spatial: Any = None,
        **kwargs: Any,
    ):
        inputs = check_inputs("student_inputs", student_inputs)
        super().__init__(augmentation, inputs, name, spatial, **kwargs)
        self._loss_sizes: Any = None
        self._plugin_layers: list[Any] = []
        self.combine = combine
        self.student_loss_weight = student_loss_weight
        self.balance = balance
        self.teacher_inference = teacher_inference
        check_inference(teacher_inference, "teacher_inference")
        teacher = self._named(teacher)
        validation.check_models(teacher, student)
        losses = validation.check_losses(distillation_losses, _names_of(teacher))
        validation.warn_of_broken_losses(losses)
        self.distillation_losses = losses
        self.distillation_loss_weights = distillation_loss_weights
        self.teacher = teacher
        self.student = student
        self._assemble()

    def _assemble(self) -> None:
        """Make the parts of the step from the attributes, after checking them."""
        teacher, student = self.teacher, self.student
        check_inference(self.teacher_inference, "teacher_inference")
        self.distillation_losses = validation.check_losses(
            self.distillation_losses, _names_of(teacher)
        )
        self.distillation_loss_weights = validation.check_loss_weights(
            self.distillation_loss_weights, self.distillation_losses
        )
        self.student_loss_weight = validation.check_student_loss_weight(
            self.student_loss_weight, self.combine
        )
        validation.check_balance(self.balance)
        described = self._described(teacher)
        terms = make_terms(self.distillation_losses, self.distillation_loss_weights)
        for term in terms:
            term.attach(network_to_tap(described, [term], student), student)
        validation.check_shapes(described, student, terms, self.student_inputs)
        teaching = described.teach(terms, student, self.augmentation)
        # A layer that the user did not make would be saved beside the model inside of it.
        teaching.network = teacher
        taps = [term.student_tap for term in terms if term.student_tap is not None]
        own_call = None if type(self).call is TrainingModel.call else self.call
        seen = Network(student, taps, own_call)
        refuse_shifted_student(terms, seen)
        logs = StepLogs([term.name for term in terms], teaching.names)
        if self._loss_sizes is not None:
            del self._loss_sizes  # a variable: Keras lets go of it
            self._loss_sizes = None
        if self.balance is not None:
            self._loss_sizes = add_loss_sizes(self, len(terms))
        weighing = Weighing(terms, self.student_loss_weight, self.combine, self._loss_sizes)
        index = SampleIndex(terms, student, teaching.wants_sample_index)
        plugins: list[Any] = [teaching, index, weighing]
        adaptive = getattr(self._augmentation.normalised, "adaptive", None)
        if adaptive is not None:
            plugins.append(Feedback(adaptive))
        watched = any(term.wants_input_gradients for term in terms)
        self._logs = logs
        of_members = {name: accuracy for name, (_, accuracy) in logs.members.items()}
        watched_accuracies = of_members or {described.name: logs.teacher_accuracy}
        self._suspicions = [
            (Suspicion(name), accuracy)
            for name, accuracy in watched_accuracies.items()
            if teaching.is_trained
        ]
        self._parts = Parts(seen, weighing, teaching, terms, plugins, logs, watched)
        self.keep("_loss_layers", [layer for term in terms for layer in term.layers])
        self.keep("_plugin_layers", [layer for plugin in plugins for layer in plugin.layers])
        self.keep(
            "_part_metrics",
            [*logs.metrics, *(metric for plugin in plugins for metric in plugin.metrics)],
        )
        self._assembled = _Settings(self)
        self._ready = False
        self.built = described.built and student.built and not self._loss_layers

    def _named(self, teacher: Any) -> Any:
        """Return a dict of teachers as the layer that describes them; others as they are."""
        if not isinstance(teacher, dict):
            return teacher
        return Named({name: self._described(member) for name, member in teacher.items()})

    def _described(self, teacher: Any) -> Any:
        """Return what describes a teacher; a plain network is a frozen one."""
        if is_description(teacher):
            return teacher
        return Frozen(teacher, inference=self.teacher_inference)

    @property
    def losses_in_use(self) -> Any:
        """The Distiller's own copies of `distillation_losses`, with the layers that it trains."""
        terms = self._parts.terms
        if not isinstance(self.distillation_losses, dict):
            return [term.loss for term in terms]
        return {
            name: [term.loss for term in terms if term.teacher == name]
            for name in self.distillation_losses
        }

    @property
    def teacher_moves(self) -> bool:
        """Whether the teacher moves while it teaches, so that it is part of what is trained."""
        teacher = self._parts.teacher
        return teacher is not None and teacher.moves

    @property
    def trainable_variables(self) -> list[Any]:  # type: ignore[override]
        """What the compiled optimizer moves: nothing of a teacher that learns by one of its own."""
        return self._without_learning_teacher(super().trainable_variables)

    @property
    def trainable_weights(self) -> list[Any]:  # type: ignore[override]
        """The same as `trainable_variables`."""
        return self._without_learning_teacher(super().trainable_weights)

    def _without_learning_teacher(self, variables: list[Any]) -> list[Any]:
        teacher = self._parts.teacher
        if teacher is None or teacher.optimizer is None:
            return variables
        theirs = {id(variable) for variable in teacher.network.variables}
        return [variable for variable in variables if id(variable) not in theirs]

    @property
    def adaptation_variables(self) -> list[Any]:
        """What an adaptive augmentation has learnt: part of the state of training."""
        return [variable for layer in self._plugin_layers for variable in layer.variables]

    @property
    def student_loss_tracker(self) -> Any:
        """The metric logged as "student_loss"."""
        return self._logs.student_loss

    @property
    def distillation_loss_tracker(self) -> Any:
        """The metric logged as "distillation_loss"."""
        return self._logs.distillation_loss

    @property
    def total_loss_tracker(self) -> Any:
        """The metric logged as "total_loss"."""
        return self._logs.total_loss

    def refuse_compilation(self, loss: Any, metrics: Any, weighted_metrics: Any) -> None:
        """Take over attributes that were set since, and refuse what does not fit."""
        if self._assembled.changed(self):
            self.teacher = self._named(self.teacher)
            validation.check_models(self.teacher, self.student)
            self._assemble()
        if loss is None and self.student_loss_weight != 0:
            raise ValueError(
                "'loss' cannot be `None` while `student_loss_weight` is "
                f"{self.student_loss_weight}. Pass the student's loss, or build the Distiller with "
                "student_loss_weight=0 to train on the teacher alone."
            )
        names = [metric.name for metric in self._part_metrics]
        outputs = getattr(self.student, "output_names", None) or []
        refuse_taken_names([*names, "loss"], [metrics, weighted_metrics], outputs)

    def _begin_pass(self) -> Any:
        changed = self._assembled.changed(self)
        if changed:
            raise ValueError(
                f"{changed} of the Distiller changed after `compile`, and the step was made of "
                "what was there then. Call `compile` again; weights and the optimizer's class "
                "may stay."
            )
        return super()._begin_pass()

    def _after_steps(self, name: str) -> None:
        if name != "train_step" or not self._suspicions or self._specs is None:
            return
        outputs = self._specs.outputs
        if keras.tree.is_nested(outputs) or has_other_workers(self.distribute_strategy):
            self._suspicions = []
        for suspicion, accuracy in self._suspicions:
            examples = float(keras.ops.convert_to_numpy(accuracy.count))
            if examples > 0:
                value = float(keras.ops.convert_to_numpy(accuracy.result()))
                suspicion.look(value, examples, outputs.shape[-1])
        self._suspicions = [both for both in self._suspicions if not both[0].is_settled]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **persistence.distiller_config(self)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        return cls(**persistence.distiller_arguments(config))


class _Settings:
    """The attributes of a Distiller as they were when its step was made."""

    def __init__(self, distiller: Distiller):
        self._values = self._of(distiller)

    def changed(self, distiller: Distiller) -> list[str]:
        """Return the names of the attributes that are others now."""
        now = self._of(distiller)
        return [name for name in _SETTINGS if not _same(now[name], self._values[name])]

    @staticmethod
    def _of(distiller: Distiller) -> dict[str, Any]:
        values = {name: getattr(distiller, name) for name in _SETTINGS}
        return {name: _copied(value) for name, value in values.items()}


def _names_of(teacher: Any) -> list[str] | None:
    """Return the names of teachers that have losses of their own; `None` of any other."""
    return list(teacher.members) if isinstance(teacher, Named) else None


def _copied(value: Any) -> Any:
    """Return a copy of lists and dicts, which may be changed in place; other values as they are."""
    if isinstance(value, dict):
        return {name: _copied(part) for name, part in value.items()}
    return list(value) if isinstance(value, (list, tuple)) else value


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(_same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return one is other or (isinstance(one, (int, float, str)) and one == other)
