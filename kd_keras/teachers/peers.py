"""Students that teach each other, in one step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from kd_keras.teachers.contract import LOGITS, Description, Teacher
from kd_keras.teachers.members import mean_of
from kd_keras.training.batch import STUDENTS, Answer, Batch

_HOW = (
    "Make one network of them, `students = keras.Model(inputs, {'small': small(inputs), 'tiny': "
    "tiny(inputs)})`."
)


@keras.saving.register_keras_serializable(package="kd_keras")
class Peers(Description):
    """Deep mutual learning: each student learns from the labels and from what the others say.

    ```
    loss of student i = label loss_i + sum over j != i of L(z_j, z_i) / (K - 1)
    ```

    L is a loss between logits, and z_j is a constant in it: no gradient passes from one student to
    another. A `kd_keras.Distiller` takes it in the teacher's place, and as student one network
    whose outputs are the K students. All move in the same step, by what the others said before
    it; any of them is exported by itself. As published, L is `KLDivergence(1.0)` and
    `combine="sum"`. A frozen teacher beside them is one of two named teachers.

    Logged are, beside Keras's `<name>_loss` and the compiled metrics of each student,
    `<name>_agreement`: how often the others pick the class that this one picks. Students have no
    layers in common to match, so losses between features are refused.

    Args:
        name: Name of the layer.

    Example:

    >>> import keras, kd_keras, numpy as np
    >>> def net(units):
    ...     return keras.Sequential(
    ...         [keras.Input((8,)), keras.layers.Dense(units), keras.layers.Dense(3)])
    >>> inputs, small, tiny = keras.Input((8,)), net(8), net(2)
    >>> students = keras.Model(inputs, {"small": small(inputs), "tiny": tiny(inputs)})
    >>> distiller = kd_keras.Distiller(
    ...     kd_keras.teachers.Peers(), students, kd_keras.losses.KLDivergence(1.0), combine="sum")
    >>> crossentropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    >>> distiller.compile("adam", {"small": crossentropy, "tiny": crossentropy})
    >>> y = np.array([0, 1, 2, 0])
    >>> history = distiller.fit(np.ones((4, 8)), {"small": y, "tiny": y}, verbose=0)
    >>> [name for name in sorted(history.history) if "tiny" in name]
    ['tiny_agreement', 'tiny_loss']

    Reference: Zhang, Xiang, Hospedales, Lu, "Deep Mutual Learning", CVPR 2018, arXiv:1706.00384;
    there the students of a batch move one after the other.
    """

    def __init__(self, name: str = "peers"):
        super().__init__(name)
        self.built = True

    def call(self, x: Any) -> Any:
        """Raise `ValueError`: peers speak of what they learn from, in a Distiller."""
        raise ValueError(
            "Peers have no answer beside those of the students of their Distiller. Received: a call"
            " of Peers. Call the students, or one of them."
        )

    def network_to_tap(self, terms: Any, student: Any) -> Any:
        """Raise `ValueError` where a loss matches features: a peer is taught by several others."""
        for term in terms:
            if term.teacher_tap is not None:
                raise ValueError(
                    f"{type(term.loss).__name__} matches features, and peers learn from each "
                    f"other's logits. Received: teacher_layer_name={term.teacher_tap!r}. Take a "
                    "loss between logits, such as kd_keras.losses.KLDivergence(1.0)."
                )
        return self

    def teach(self, terms: Any, student: Any, augmentation: Any) -> MutualTeacher:
        outputs = student.output if getattr(student, "outputs", None) else None
        if not isinstance(outputs, dict) or len(outputs) < 2:
            received = "without a graph" if outputs is None else f"with the output {outputs}"
            raise ValueError(
                "`student` must be one network with an output for each peer, by its name, two at "
                f"least. Received: student={student.name!r} {received}. {_HOW}"
            )
        teacher = MutualTeacher(self, tuple(outputs))
        teacher.refuse_losses(terms)
        return teacher

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name}


class MutualTeacher(Teacher):
    """The peers in one Distiller.

    Args:
        network: What describes them.
        names: Of the students.
    """

    provides = frozenset({LOGITS})
    is_trained = False
    hears_students = True
    holds = "peers learn from each other's logits alone. Take KLDivergence(1.0)."

    def __init__(self, network: Peers, names: tuple[str, ...]):
        super().__init__(network)
        self.names = names

    def answer(self, batch: Batch, watched: bool = False) -> Answer | None:
        said = batch.extras.get(STUDENTS)
        if said is None:
            raise ValueError(
                "`augmentation` asks the teacher about its views before the students see them, and "
                "peers are the students. Received: Pick, or another one that asks, with "
                "kd_keras.teachers.Peers. Leave it out."
            )
        self._refuse_other_classes(said.logits)
        names, others = self.names, range(1, len(self.names))
        # In round s each listens to the one who stands s places further.
        rounds = tuple(
            Answer(_turned(said.outputs, names, s), {}, _turned(said.logits, names, s))
            for s in others
        )
        heard = mean_of([each.logits for each in rounds])
        members = {
            name: Answer({}, {}, {other: said.logits[name] for other in names if other != name})
            for name in names
        }
        return Answer(rounds[0].outputs, {}, heard, members=members, rounds=rounds)

    def _refuse_other_classes(self, logits: Any) -> None:
        shapes = {name: tuple(leaf.shape)[1:] for name, leaf in logits.items()}
        if len(set(shapes.values())) > 1:
            raise ValueError(
                "Peers must answer in the same classes. Received outputs of the student, without "
                f"the batch: {shapes}. Every output is a peer: give those that are none to a "
                "network of their own."
            )


def _turned(said: dict[str, Any], names: Sequence[str], places: int) -> dict[str, Any]:
    """Return for each name what is said by the one who stands some places further."""
    order = dict(zip(names, [*names[places:], *names[:places]], strict=True))
    return {name: said[other] for name, other in order.items()}
