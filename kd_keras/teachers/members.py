"""Several teachers in the place of one: how they are named, told and asked together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from kd_keras.teachers.contract import Description, Teacher, is_description
from kd_keras.teachers.frozen import Frozen
from kd_keras.training.batch import ASKED, Answer, Batch
from kd_keras.training.plugin import Results


class Members(Description):
    """What describes several teachers.

    Args:
        members: Teachers by name, or a list, which are called by their models' names.
        name: Name of the layer.

    Attributes:
        members: Descriptions of teachers by name; a plain model is `Frozen`.

    Raises:
        ValueError: If there are fewer than two, or one of them is no teacher.
    """

    def __init__(self, members: Any, name: str):
        super().__init__(name)
        self.members = _checked(members)
        self.built = all(member.built for member in self.members.values())

    def get_config(self) -> dict[str, Any]:
        members = keras.saving.serialize_keras_object(dict(self.members))
        return {"members": members, "name": self.name}


class Team(Teacher):
    """Several teachers in one Distiller, told together what one is told.

    Args:
        network: What describes them.
        members: The teachers by name.

    Raises:
        ValueError: If one of them only repeats a recording.
    """

    def __init__(self, network: Members, members: Mapping[str, Teacher]):
        super().__init__(network)
        self._members = dict(members)
        for name, member in self._members.items():
            if not member.answers_always:
                raise ValueError(
                    "A recording cannot be one of several teachers: it answers about what was "
                    f"recorded alone. Received: {name!r}, a {type(member.network).__name__}. Pass "
                    "the live teacher, or record all of them as one: kd_keras.replay.record("
                    "kd_keras.teachers.Ensemble({...}), ...)."
                )
            if member.optimizer is not None:
                raise ValueError(
                    "A teacher that learns cannot be one of several yet. Received: "
                    f"{name!r}, a {type(member.network).__name__}. Let it teach alone, or pass the "
                    "model itself, which then teaches as it is."
                )
        if len(set(self.names)) < len(self.names):
            raise ValueError(
                "Members of members are called <name>_<name>, and that must be no other's name. "
                f"Received: {list(self.names)}. Give one of them another name."
            )
        self.moves = any(member.moves for member in self._members.values())
        self.is_trained = all(member.is_trained for member in self._members.values())
        self.hears_students = any(member.hears_students for member in self._members.values())
        self.layers = [layer for member in self._members.values() for layer in member.layers]
        self.metrics = [metric for member in self._members.values() for metric in member.metrics]

    @property
    def names(self) -> tuple[str, ...]:  # type: ignore[override]
        found: list[str] = []
        for name, member in self._members.items():
            found += [name, *(f"{name}_{inner}" for inner in member.names)]
        return tuple(found)

    @property
    def version(self) -> int:
        return sum(member.version for member in self._members.values())

    def ask(self, batch: Batch, watched: bool, again: bool) -> dict[str, Answer]:
        """Return what each member says, and by "member_inner" what members of members say."""
        # What an augmentation asked was asked of all, and is no answer of one.
        batch = batch.with_extras(**{ASKED: None})
        answers: dict[str, Answer] = {}
        for name, member in self._members.items():
            said = (member.answer_again if again else member.answer)(batch, watched)
            if said is not None:
                answers[name] = said._replace(members={})
                answers.update({f"{name}_{n}": inner for n, inner in said.members.items()})
        return answers

    def accept(self, batch: Batch, step: Any) -> tuple[Batch, list[Any]]:
        checks: list[Any] = []
        for member in self._members.values():
            batch, more = member.accept(batch, step)
            checks += more
        return batch, checks

    def after_step(self, results: Results, step: Any) -> None:
        for member in self._members.values():
            member.after_step(results, step)

    @property
    def state(self) -> list[Any]:
        return [variable for member in self._members.values() for variable in member.state]

    def meet(self, student: Any) -> None:
        for member in self._members.values():
            member.meet(student)

    def look(self, x: Any) -> None:
        for member in self._members.values():
            member.look(x)

    def offer_sample(self, x: Any) -> None:
        for member in self._members.values():
            member.offer_sample(x)

    def refresh(self, is_moving: bool) -> None:
        for member in self._members.values():
            member.refresh(is_moving)

    def forget(self) -> None:
        for member in self._members.values():
            member.forget()

    def refuse_independent_labels(self) -> None:
        for member in self._members.values():
            member.refuse_independent_labels()


def mean_of(voices: list[Any]) -> Any:
    """Return the mean of logits; those of the first where they are not all of one kind."""
    shapes = [keras.tree.map_structure(lambda leaf: tuple(leaf.shape), said) for said in voices]
    if len(voices) == 1 or any(shape != shapes[0] for shape in shapes):
        return voices[0]
    return keras.tree.map_structure(
        lambda *leaves: tf.add_n([tf.cast(leaf, tf.float32) for leaf in leaves]) / len(leaves),
        *voices,
    )


def _checked(members: Any) -> dict[str, Any]:
    if isinstance(members, Sequence) and not isinstance(members, str):
        members = _by_name(members)
    named = isinstance(members, Mapping) and all(isinstance(n, str) and n for n in members)
    if not named or len(members) < 2:
        raise ValueError(
            "Several teachers are two or more: a dict of name and teacher, or a list. Received: "
            f"{members!r}. One teacher is passed as it is."
        )
    described = {
        name: member if is_description(member) else Frozen(member)
        for name, member in members.items()
    }
    networks = [network for member in described.values() for network in _networks(member)]
    if len({id(network) for network in networks}) < len(networks):
        raise ValueError(
            "Each of several teachers needs a network of its own: a `.keras` file could not tell "
            f"them apart. Received: {[network.name for network in networks]}, one of them twice. "
            "Pass a copy, `copy = keras.models.clone_model(model)` with "
            "`copy.set_weights(model.get_weights())`."
        )
    return described


def _networks(member: Any) -> list[Any]:
    """Return the networks of a teacher, which may be several."""
    inner = getattr(member, "members", None)
    if inner is None:
        return [getattr(member, "model", member)]
    return [network for each in inner.values() for network in _networks(each)]


def _by_name(members: Sequence[Any]) -> dict[str, Any]:
    """Return a list of teachers by the names of their models, numbered where those repeat."""
    found: dict[str, Any] = {}
    for member in members:
        base = getattr(member, "name", type(member).__name__)
        name, number = base, 1
        while name in found:
            name, number = f"{base}_{number}", number + 1
        found[name] = member
    return found
