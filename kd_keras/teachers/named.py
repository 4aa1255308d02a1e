"""Teachers that are told apart by name, each with losses of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from kd_keras.teachers.contract import Teacher, network_to_tap
from kd_keras.teachers.members import Members, Team, mean_of
from kd_keras.training.batch import Answer, Batch


@keras.saving.register_keras_serializable(package="kd_keras")
class Named(Members):
    """Teachers of one student by name: what a `kd_keras.Distiller` makes of a dict of teachers.

    Args:
        members: Two or more `keras.Model`s or descriptions of teachers, by name.
        name: Name of the layer.

    Raises:
        ValueError: If there are fewer than two, or one of them is no teacher.
    """

    def __init__(self, members: Any, name: str = "named"):
        super().__init__(members, name)

    def call(self, x: Any, training: bool = False) -> Any:
        """Return the logits of each teacher, by its name."""
        return {name: member(x) for name, member in self.members.items()}

    def network_to_tap(self, terms: Any, student: Any) -> Any:
        """Return the network that the losses of one teacher tap."""
        (name,) = {term.teacher for term in terms}
        return network_to_tap(self.members[name], terms, student)

    def teach(self, terms: Any, student: Any, augmentation: Any) -> NamedTeachers:
        own = {name: [t for t in terms if t.teacher == name] for name in self.members}
        members = {
            name: member.teach(own[name], student, augmentation)
            for name, member in self.members.items()
        }
        voices = [name for name in members if any(t.matches_outputs for t in own[name])]
        return NamedTeachers(self, members, voices or list(members)[:1])


class NamedTeachers(Team):
    """Named teachers in one Distiller.

    Args:
        network: What describes them.
        members: The teachers by name.
        voices: Names of those whose outputs a loss compares. Where one answer is asked for (by
            `Pick` and `Feedback`, as `agreement` and `teacher_accuracy`) it is the mean of their
            logits.
    """

    def __init__(self, network: Named, members: Mapping[str, Teacher], voices: Sequence[str]):
        super().__init__(network, members)
        self._voices = list(voices)

    def refuse_losses(self, terms: Sequence[Any]) -> None:
        for name, member in self._members.items():
            member.refuse_losses([term for term in terms if term.teacher == name])

    def answer(self, batch: Batch, watched: bool = False) -> Answer | None:
        return self._answer(self.ask(batch, watched, again=False))

    def answer_again(self, batch: Batch, watched: bool = False) -> Answer | None:
        return self._answer(self.ask(batch, watched, again=True))

    def _answer(self, members: dict[str, Answer]) -> Answer:
        logits = mean_of([members[name].logits for name in self._voices])
        return Answer(logits, {}, logits, members=members)
