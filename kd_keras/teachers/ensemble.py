"""Several networks that teach as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kd_keras.arguments import check_number
from kd_keras.compat.structure import mask_of, with_mask
from kd_keras.teachers import combining
from kd_keras.teachers.contract import INPUT_GRADIENT, LOG_PROBABILITIES, LOGITS
from kd_keras.teachers.members import Members, Team
from kd_keras.training.batch import ASKED, Answer, Batch
from kd_keras.training.network import answer

CONFIDENCE, ACCURACY = "confidence", "accuracy"


@keras.saving.register_keras_serializable(package="kd_keras")
class Ensemble(Members):
    """Several trained networks that teach as one, each with inputs and classes of its own.

    ```
    combine="probability":  log sum_k w_k softmax(z_k)
    combine="logit":        sum_k w_k z_k
    combine="majority":     log max(sum_k w_k [c = argmax z_k], 1e-30)

    weights=None:           w_k = 1 / K
    weights="confidence":   w_k = (1 - H_k / sum_j H_j) / (K - 1),  H_k the entropy of softmax(z_k)
    weights="accuracy":     w_k = (1 - exp(L_k) / sum_j exp(L_j)) / (K - 1),  L_k = -log p_k(label)
    ```

    A `kd_keras.Distiller` takes it in the teacher's place. Each member runs once a step. Logged
    are, beside those of the whole, `<name>_agreement` and in training `<name>_teacher_accuracy` of
    each member; a loss that is not finite names the member that caused it.

    Probabilities are averaged at temperature 1, before a loss softens them. "probability" and
    "majority" give log-probabilities, so losses that need raw logits take "logit". Features of an
    ensemble do not exist: losses that match features take named teachers,
    `Distiller({"deep": a, "shallow": b}, student, {"deep": [...], "shallow": [...]})`.

    Args:
        members: Two or more `keras.Model`s or descriptions of teachers (`Frozen` for other inputs,
            sizes or classes), by name or as a list, whose names are those of the models.
        combine: "probability", "logit" or "majority".
        weights: `None` for equal ones; one number >= 0 for each member, in the form of `members`,
            taken as shares of their sum; "confidence", for each example (and position) by how sure
            each member is; "accuracy", by the probability that each gives the label, for which the
            data need one label or one share per class for each output of one unit per class.
        name: Name of the layer.

    Raises:
        ValueError: If an argument is none of these.

    Example:

    >>> import keras, kd_keras, numpy as np
    >>> def net(units):
    ...     return keras.Sequential(
    ...         [keras.Input((8,)), keras.layers.Dense(units), keras.layers.Dense(3)])
    >>> crowd = kd_keras.teachers.Ensemble({"deep": net(16), "shallow": net(4)})
    >>> crowd(np.ones((4, 8))).shape
    TensorShape([4, 3])
    >>> distiller = kd_keras.Distiller(crowd, net(2), kd_keras.losses.KLDivergence(4.0))
    >>> distiller.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    >>> history = distiller.fit(np.ones((4, 8)), np.array([0, 1, 2, 0]), verbose=0)
    >>> [name for name in sorted(history.history) if "deep" in name]
    ['deep_agreement', 'deep_teacher_accuracy']

    Reference: Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", 2015,
    arXiv:1503.02531; "confidence": Kwon et al., "Adaptive Knowledge Distillation Based on
    Entropy", ICASSP 2020; "accuracy": Zhang, Chen, Wang, "Confidence-Aware Multi-Teacher Knowledge
    Distillation", ICASSP 2022, arXiv:2201.00007.
    """

    def __init__(
        self,
        members: Any,
        combine: str = "probability",
        weights: Any = None,
        name: str = "ensemble",
    ):
        super().__init__(members, name)
        if combine not in combining.RULES:
            raise ValueError(
                "`combine` must be 'probability' (the mean of the probabilities), 'logit' (of the "
                "logits, the geometric mean of the probabilities) or 'majority' (one vote each). "
                f"Received: combine={combine!r}."
            )
        self.combine = combine
        self.weights_form = _check_weights(weights, list(self.members))

    def call(self, x: Any, training: bool = False) -> Any:
        """Return the combined logits of x."""
        return self.combined([member(x) for member in self.members.values()], Batch(x))

    def combined(self, logits: Sequence[Any], batch: Batch) -> Any:
        """Return the logits of all members as one.

        Args:
            logits: Of each member, in any structure, the same of all.
            batch: What they are of.

        Raises:
            ValueError: If they differ in structure or classes, or cannot be combined so.
        """
        leaves = [keras.tree.flatten(member) for member in logits]
        shapes = [
            keras.tree.map_structure(lambda leaf: tuple(leaf.shape)[1:], member)
            for member in logits
        ]
        if any(shape != shapes[0] for shape in shapes):
            found = dict(zip(self.members, shapes, strict=True))
            raise ValueError(
                "The members of an ensemble must answer in the same classes, by the same names of "
                f"outputs. Received, without the batch: {found}."
                " Say which of a member's classes are the student's: "
                "kd_keras.teachers.Frozen(model, classes=[...])."
            )
        joined = [self._leaf(list(outputs), batch) for outputs in zip(*leaves, strict=True)]
        return keras.tree.pack_sequence_as(logits[0], joined)

    def _leaf(self, logits: list[Any], batch: Batch) -> Any:
        by_example = isinstance(self.weights_form, str)
        if logits[0].shape[-1] == 1 and (by_example or self.combine != "logit"):
            raise ValueError(
                "An output of one unit has no softmax to combine. Received: "
                f"combine={self.combine!r}, weights={self.weights_form!r}. Pass combine='logit', "
                "and numbers or None as weights."
            )
        mask = mask_of(logits[0])
        logits = [tf.cast(z, tf.float32) for z in logits]
        weights: Any = self.weights_form
        if weights == CONFIDENCE:
            weights = combining.by_confidence(logits)
        elif weights == ACCURACY:
            weights = combining.by_label(logits, _Labels(batch))
        return with_mask(combining.combined(self.combine, logits, weights), mask)

    def teach(self, terms: Any, student: Any, augmentation: Any) -> EnsembleTeacher:
        members = {
            name: member.teach((), student, augmentation) for name, member in self.members.items()
        }
        teacher = EnsembleTeacher(self, members)
        teacher.refuse_losses(terms)
        return teacher

    def network_to_tap(self, terms: Any, student: Any) -> Any:
        """Raise `ValueError` where a loss matches features: an ensemble has none."""
        for term in terms:
            if term.teacher_tap is not None:
                raise ValueError(
                    f"{type(term.loss).__name__} matches features, and an ensemble has none: its "
                    f"members have layers of their own. Received: a tap of {self.name!r}, "
                    f"teacher_layer_name={term.teacher_tap!r}. Name the teachers and say whose "
                    "features they are: kd_keras.Distiller({'deep': a, 'shallow': b}, student, "
                    "{'deep': [...], 'shallow': [...]})."
                )
        return self

    def get_config(self) -> dict[str, Any]:
        weights = self.weights_form
        if isinstance(weights, tuple):
            weights = list(weights)
        return {**super().get_config(), "combine": self.combine, "weights": weights}


class EnsembleTeacher(Team):
    """An `Ensemble` in one Distiller."""

    network: Ensemble

    @property
    def provides(self) -> frozenset[str]:  # type: ignore[override]
        raw = all(LOGITS in member.provides for member in self._members.values())
        if self.network.combine == "logit" and raw:
            return frozenset({LOGITS, INPUT_GRADIENT})
        return frozenset({LOG_PROBABILITIES})

    @property
    def holds(self) -> str:  # type: ignore[override]
        if self.network.combine == "logit":
            return "a member of the ensemble ends in a softmax, so its logits are not known."
        return (
            f"an ensemble that combines by {self.network.combine!r} knows log-probabilities alone; "
            "combine='logit' keeps the logits."
        )

    def refuse_independent_labels(self) -> None:
        super().refuse_independent_labels()
        weights = self.network.weights_form
        if isinstance(weights, str):
            raise ValueError(
                f"weights={weights!r} weighs the members of an ensemble by a softmax over classes "
                "that compete, and the compiled binary crossentropy says that the labels are "
                "independent (multi-label). Received: it on outputs of several units. Pass numbers "
                "or None as weights."
            )

    def answer(self, batch: Batch, watched: bool = False) -> Answer | None:
        asked = batch.extras.get(ASKED)
        if asked is not None and not watched:
            return Answer(asked, {}, asked)
        return self._answer(batch, watched, again=False)

    def answer_again(self, batch: Batch, watched: bool = False) -> Answer | None:
        return self._answer(batch, watched, again=True)

    def _answer(self, batch: Batch, watched: bool, again: bool) -> Answer:
        members: dict[str, Answer] = {}

        def run(x: Any, training: bool) -> tuple[Any, dict[str, Any]]:
            members.update(self.ask(batch._replace(x=x), False, again))
            said = [members[name].logits for name in self._members]
            return self.network.combined(said, batch), {}

        whole = answer(run, lambda logits: logits, batch.x, False, watched)
        return whole._replace(members=members)


class _Labels:
    """The labels of a batch, as weights by accuracy ask for them."""

    def __init__(self, batch: Batch):
        self._batch = batch

    def __call__(self, log_p: Any) -> tf.Tensor:
        """Return the log-likelihood of the labels; of mixed ones, by their shares."""
        y, mix = self._batch.y, self._batch.mix
        if y is None or keras.tree.is_nested(y):
            received = "no labels" if y is None else f"labels as {type(y).__name__}"
            raise ValueError(
                "weights='accuracy' weighs the members of an ensemble by the label of one output. "
                f"Received: {received}. Pass weights='confidence', which asks for no labels."
            )
        likelihood = combining.of_labels(y, log_p)
        if mix is None:
            return likelihood
        lam = tf.reshape(mix.lam, [-1, *[1] * (likelihood.shape.rank - 1)])
        return lam * likelihood + (1.0 - lam) * combining.of_labels(mix.y, log_p)


def _check_weights(weights: Any, names: list[str]) -> Any:
    """Return shares, one for each member, or the rule that makes them."""
    if weights is None:
        return (1.0 / len(names),) * len(names)
    if isinstance(weights, str) and weights in (CONFIDENCE, ACCURACY):
        return weights
    given = weights
    if isinstance(weights, np.ndarray):
        weights = weights.tolist()
    if isinstance(weights, Mapping) and set(weights) == set(names):
        weights = [weights[name] for name in names]
    fits = isinstance(weights, Sequence) and not isinstance(weights, str)
    if not fits or len(weights) != len(names):
        raise ValueError(
            f"`weights` must be None (equal ones), one number for each of {names}, 'confidence' or "
            f"'accuracy'. Received: weights={given!r}."
        )
    numbers = [check_number("weights", weight, low=0) for weight in weights]
    if sum(numbers) == 0:
        raise ValueError(f"`weights` must not all be 0. Received: weights={given!r}.")
    return tuple(number / sum(numbers) for number in numbers)
