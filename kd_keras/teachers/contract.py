"""What the step asks of whoever teaches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from kd_keras.losses.contract.logit_form import LogitForm
from kd_keras.training.batch import ASKED, RECORDED, Answer, Batch
from kd_keras.training.plugin import Plugin
from kd_keras.training.taps import TappedModel

# What a teacher may give, `Teacher.provides`: raw logits or, known up to a constant for each
# example, log-probabilities; features inside of it; the gradient at its inputs.
LOGITS = "logits"
LOG_PROBABILITIES = "log_probabilities"
TAPS = "taps"
INPUT_GRADIENT = "input_gradient"


class Teacher(Plugin):
    """Whoever teaches in one Distiller.

    What a user makes and passes (`Frozen`, `ReplayTeacher`) describes a teacher; its `teach`
    returns one of these.

    Args:
        network: The layer or model behind it, which the Distiller keeps and saves.
        taps: Names of its layers that losses match.
    """

    provides: frozenset[str] = frozenset({LOGITS, TAPS, INPUT_GRADIENT})
    # Whether its weights change while it teaches. Never guessed: whoever moves them says so.
    moves = False
    # Whether it knows something already when training begins.
    is_trained = True
    # Whether it takes the numbers of the examples out of x, as losses with a memory do.
    wants_sample_index = False
    # Whether it has something to say of any batch, of data that nobody recorded too.
    answers_always = True
    # Whether it answers by what the student has just said, `Batch.extras[STUDENTS]`.
    hears_students = False
    # What moves it, where it learns while it teaches: no other optimizer may.
    optimizer: Any = None
    # Names of its members, where it is several: what they say is logged by name.
    names: tuple[str, ...] = ()
    # Ends the sentences that refuse what it does not provide.
    holds = ""

    def __init__(self, network: Any, taps: Sequence[Any] = ()):
        self.network = network
        self.taps = tuple(taps)

    @property
    def version(self) -> int:
        """How many times graphs that call this teacher became stale."""
        return 0

    def accept(self, batch: Batch, step: Any) -> tuple[Batch, list[Any]]:
        if isinstance(batch.x, dict) and RECORDED in batch.x:
            raise ValueError(
                "The data carry recorded labels, and `teacher` is a live one. Received: teacher="
                f"{type(self.network).__name__}. Pass the ReplayTeacher that made them, or plain "
                "data."
            )
        return batch, []

    def answer(self, batch: Batch, watched: bool = False) -> Answer | None:
        """Return what the teacher says of a batch, with its taps.

        Args:
            batch: What the student sees.
            watched: Whether the gradient at the inputs is wanted.

        Returns:
            The answer; `None` where it has nothing to say, as a recording of unrecorded images.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `answer(batch, watched)`.")

    def answer_again(self, batch: Batch, watched: bool = False) -> Answer | None:
        """Return what `answer` does; of validation data, which come again in each epoch."""
        return self.answer(batch, watched)

    @property
    def state(self) -> Sequence[Any]:
        """Variables that answering moves in training; a step that fails puts them back."""
        return ()

    def meet(self, student: Any) -> None:
        """Take note that the student is built."""

    def look(self, x: Any) -> None:
        """Learn the shapes of the inputs, symbolic ones, before anything runs."""

    def offer_sample(self, x: Any) -> None:
        """Take note of real inputs, on which an approximation may be judged."""

    def refresh(self, is_moving: bool) -> None:
        """Look whether the teacher is what it was, at the start of an epoch or an evaluation.

        Args:
            is_moving: Whether a change means that it moves while it teaches.
        """

    def forget(self) -> None:
        """Drop what was traced, as when the Distiller is compiled."""

    def refuse_independent_labels(self) -> None:
        """Raise `ValueError` where an answer about labels that do not compete would be wrong."""

    def refuse_losses(self, terms: Sequence[Any]) -> None:
        """Raise `ValueError` where a loss needs what this teacher does not provide.

        Args:
            terms: The distillation losses, `kd_keras.training.term.Term`s.
        """
        for term in terms:
            name = type(term.loss).__name__
            if (term.teacher_tap is not None or term.layers) and TAPS not in self.provides:
                raise ValueError(f"{name} matches features, and {self.holds}")
            if term.wants_input_gradients and INPUT_GRADIENT not in self.provides:
                raise ValueError(
                    f"{name} needs the teacher's gradient at its inputs, and {self.holds}"
                )
            if needs_raw_logits(term) and LOGITS not in self.provides:
                raise ValueError(raw_logits_message(name, self.holds))


class NetworkTeacher(Teacher):
    """A teacher that is one network, whose layers may be tapped.

    Args:
        network: As for `Teacher`.
        model: The network that answers.
        form: Turns its outputs into logits.
        terms: The distillation losses.
    """

    def __init__(self, network: Any, model: Any, form: LogitForm, terms: Sequence[Any]):
        super().__init__(network, [t.teacher_tap for t in terms if t.teacher_tap is not None])
        self._tapped = TappedModel(model, self.taps, "teacher")
        self._form = form
        # Whether a loss compares the outputs as they are, which need not be logits.
        self._needs_outputs = any(t.teacher_tap is None and not t.expects_logits for t in terms)

    @property
    def provides(self) -> frozenset[str]:  # type: ignore[override]
        kind = LOG_PROBABILITIES if self._form.is_shifted else LOGITS
        return frozenset({kind, TAPS, INPUT_GRADIENT})

    def look(self, x: Any) -> None:
        self._form.look(x)

    def asked(self, batch: Batch, watched: bool) -> Answer | None:
        """Return what an augmentation was told of the batch, where no more is wanted than that."""
        asked = batch.extras.get(ASKED)
        if asked is None or self._tapped.names or watched or self._needs_outputs:
            return None
        return Answer(asked, {}, asked)


class Description(keras.layers.Layer):
    """What a user makes and passes: it describes a teacher, and is saved with the Distiller.

    Args:
        name: Name of the layer.
        **kwargs: Passed on to `keras.layers.Layer`.
    """

    def __init__(self, name: str, **kwargs: Any):
        super().__init__(name=name, dtype="float32", autocast=False, **kwargs)

    @property
    def metrics(self) -> list[Any]:
        """None: those of a compiled network are of its own training, and see no data here."""
        return []

    def build(self, shape: Any = None) -> None:
        """Do nothing: a network is built when it is first called."""

    def teach(self, terms: Any, student: Any, augmentation: Any) -> Teacher:
        """Return what teaches in one Distiller; called by `kd_keras.Distiller`.

        Args:
            terms: The distillation losses.
            student: The student.
            augmentation: As it was given to the Distiller.

        Raises:
            ValueError: If a loss needs more than this teacher provides, or it cannot teach this
                student.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `teach(...)`.")

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        return cls(**keras.saving.deserialize_keras_object(config))


def needs_raw_logits(term: Any) -> bool:
    """Return whether a loss is not the same for logits and for log-probabilities."""
    compares_logits = term.expects_logits or term.wants_input_gradients
    return compares_logits and term.teacher_tap is None and not term.ignores_a_shift


def raw_logits_message(loss_name: str, holds: str) -> str:
    """Return the text of the error for a loss that needs more than log-probabilities."""
    return (
        f"{loss_name} needs raw logits, and {holds} Log-probabilities are the logits up to a "
        "constant for each example. Use KLDivergence, SoftCrossentropy, ProbabilityMSE, "
        "DecoupledKD, DIST, StandardizedKL or HardLabel; a loss of your own that is the same for "
        "logits + constant says so with the class attribute `shift_invariant = True`."
    )


def is_description(teacher: Any) -> bool:
    """Return whether `teacher` describes one, by a method `teach`, and is no plain network."""
    return isinstance(teacher, keras.Layer) and callable(getattr(teacher, "teach", None))


def network_to_tap(teacher: Any, terms: Sequence[Any], student: Any) -> Any:
    """Return the network whose layers losses may match.

    Args:
        teacher: What describes a teacher. Where that is not its `model`, a method of this name
            says so.
        terms: The losses.
        student: The student.
    """
    find = getattr(teacher, "network_to_tap", None)
    return getattr(teacher, "model", teacher) if find is None else find(terms, student)


class Asking:
    """The teacher as an augmentation asks it about its views."""

    returns_logits = True

    def __init__(self, teacher: Teacher):
        self._teacher = teacher

    def __call__(self, x: Any) -> Any:
        """Return the teacher's logits of x."""
        answer = self._teacher.answer(Batch(x))
        if answer is None:
            raise ValueError(
                "`augmentation` asks the teacher about its views, and a recording knows recorded "
                "ones alone. Distil with the live teacher."
            )
        return answer.logits
