"""A teacher whose answers were made elsewhere and are looked up by the number of the example."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kd_keras.graph_errors import MARKER
from kd_keras.losses.contract.logit_form import as_logits
from kd_keras.teachers.answer_files import read_answers
from kd_keras.teachers.contract import LOG_PROBABILITIES, LOGITS, Description, Teacher
from kd_keras.training.batch import SAMPLE_INDEX, Answer, Batch

# The entry of `Batch.extras`: the answers of the examples in the batch.
_ANSWERS = "recorded_answers"
_SUM_TOLERANCE = 1e-2


@keras.saving.register_keras_serializable(package="kd_keras")
class Recorded(Description):
    """Teach with answers that any other program gave: looked up by the number of each example.

    ```
    logits as they are;   log p, p >= 1e-30, of probabilities of classes that exclude each other
    ```

    For a teacher that does not run here: scikit-learn, XGBoost, a PyTorch model, an API. A
    `kd_keras.Distiller` takes it in the teacher's place. x is then a dict that holds the number (or
    the name) of each example as `"sample_index"` beside what the student takes; names come through
    a `tf.data.Dataset`, for Keras takes no arrays of text. Data without it, in
    `evaluate` or as `validation_data`, are measured without the teacher.

    An answer is of an example as it was, not of a view of it: augmentation changes what the student
    sees and not what the teacher said. Mixing (MixUp, CutMix) is refused. To label every view,
    distil with a live teacher, or record one with `kd_keras.replay.record`.

    Args:
        ids: The number or name of each example, whole numbers or text, each once.
        answers: What the teacher said of each, `(examples, ..., classes)`.
        outputs: What `answers` holds: "logits" or "probabilities".
        name: Name of the layer.

    Raises:
        ValueError: If an argument is none of these, or an answer is not finite.

    Example:

    >>> import keras, kd_keras, numpy as np
    >>> teacher = kd_keras.teachers.Recorded.from_arrays(
    ...     ids=[10, 11, 12], probabilities=[[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]])
    >>> student = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    >>> distiller = kd_keras.Distiller(teacher, student, kd_keras.losses.KLDivergence(2.0))
    >>> distiller.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    >>> x = {"features": np.ones((3, 4)), "sample_index": np.array([12, 10, 11])}
    >>> history = distiller.fit(x, np.array([0, 0, 1]), verbose=0)
    >>> history.history["teacher_accuracy"]
    [1.0]
    """

    def __init__(
        self, ids: Any, answers: Any, outputs: str = "logits", name: str = "recorded_teacher"
    ):
        super().__init__(name, trainable=False)
        if outputs not in ("logits", "probabilities"):
            raise ValueError(
                "`outputs` must be 'logits' or 'probabilities': what `answers` holds. Received: "
                f"outputs={outputs!r}."
            )
        self.outputs_form = outputs
        self._ids = _check_ids(ids)
        with tf.init_scope():
            places = tf.range(len(self._ids), dtype=tf.int64)
            entries = tf.lookup.KeyValueTensorInitializer(tf.constant(self._ids), places)
            self._table = tf.lookup.StaticHashTable(entries, default_value=-1)
        values = _check_answers(answers, self._ids, outputs)
        self._answers = self.add_weight(
            shape=values.shape, initializer="zeros", trainable=False, name="answers"
        )
        self._answers.assign(values)
        self.built = True

    @classmethod
    def from_arrays(
        cls,
        ids: Any,
        logits: Any = None,
        probabilities: Any = None,
        name: str = "recorded_teacher",
    ) -> Recorded:
        """Return a teacher that repeats arrays.

        Args:
            ids: As for `Recorded`.
            logits: `(examples, ..., classes)`, or `None` where probabilities are given.
            probabilities: Likewise, 0 to 1, of rows that sum to 1.
            name: Name of the layer.

        Raises:
            ValueError: As `Recorded`, and unless exactly one of the two is given.
        """
        values, outputs = _one_of(logits, probabilities)
        return cls(ids, values, outputs, name)

    @classmethod
    def from_file(
        cls,
        path: str | os.PathLike[str],
        ids: str = "id",
        logits: str | Sequence[str] | None = None,
        probabilities: str | Sequence[str] | None = None,
        name: str = "recorded_teacher",
    ) -> Recorded:
        """Return a teacher that repeats a file: .npz, .csv, .parquet or .tfrecord.

        Args:
            path: The file. Of a .tfrecord each record is a `tf.train.Example`.
            ids: Name of the array, column or feature with the ids.
            logits: Name of the one with the logits, a list for each example; or the names of
                columns with one class each, in the order of the classes.
            probabilities: Likewise, of probabilities.
            name: Name of the layer.

        Raises:
            ValueError: If the file cannot be read or lacks a name, and as `from_arrays`.

        Example:

        ```python
        kd_keras.teachers.Recorded.from_file(
            "answers.csv", ids="image", probabilities=["p_cat", "p_dog"]
        )
        ```
        """
        names, outputs = _one_of(logits, probabilities)
        found = read_answers(path, ids, names)
        return cls(found.ids, found.values, outputs, name)

    @property
    def outputs(self) -> list[Any]:
        """The answers of a batch, as a symbolic tensor."""
        return [keras.KerasTensor((None, *self._answers.shape[1:]), dtype="float32")]

    def call(self, x: Any) -> Any:
        """Raise: nobody knows what the teacher would say of inputs."""
        raise ValueError(
            f"The teacher {self.name!r} repeats answers by the number of an example and cannot be "
            "called on inputs. Ask the program that gave the answers."
        )

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        return self.outputs[0]

    def teach(self, terms: Any, student: Any, augmentation: Any) -> RecordedTeacher:
        teacher = RecordedTeacher(self)
        teacher.refuse_losses(terms)
        return teacher

    def answers_of(self, ids: Any) -> Any:
        """Return the logits of examples, in the graph, with an error for one that has no answer.

        Args:
            ids: Of the examples, `(batch,)` or `(batch, 1)`.
        """
        ids = tf.convert_to_tensor(ids)
        if ids.shape.rank not in (1, 2) or (ids.shape.rank == 2 and ids.shape[1] != 1):
            raise ValueError(
                "`sample_index` must be one number or name for each example, (batch,). Received: "
                f"shape {tuple(ids.shape)}."
            )
        ids = tf.reshape(ids, [-1])
        if ids.dtype.is_integer:
            ids = tf.cast(ids, tf.int64)
        if ids.dtype != self._table.key_dtype:
            raise ValueError(
                f"`sample_index` must be of the kind of the ids of {self.name!r}, "
                f"{self._table.key_dtype.name}. Received: {ids.dtype.name}."
            )
        rows = self._table.lookup(ids)
        missing = tf.boolean_mask(ids, rows < 0)
        check = tf.debugging.Assert(
            tf.size(missing) == 0,
            [
                f"{MARKER}the teacher {self.name!r} has no answer for some examples. Give it one "
                "for each id that the data hold, or leave those examples out. Received: "
                "`sample_index` such as",
                missing,
            ],
        )
        with tf.control_dependencies([] if check is None else [check]):
            found = tf.gather(tf.convert_to_tensor(self._answers), tf.maximum(rows, 0))
        if self.outputs_form == "logits":
            return found
        return as_logits(found, "sigmoid" if found.shape[-1] == 1 else "softmax")

    def get_config(self) -> dict[str, Any]:
        # The answers themselves are weights.
        return {
            "ids": [i.decode() if isinstance(i, bytes) else i for i in self._ids.tolist()],
            "shape": list(self._answers.shape[1:]),
            "outputs": self.outputs_form,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Recorded:
        config = dict(config)
        shape = (len(config["ids"]), *config.pop("shape"))
        return cls(answers=np.full(shape, 1.0 / shape[-1], "float32"), **config)


class RecordedTeacher(Teacher):
    """A `Recorded` teacher in one Distiller."""

    network: Recorded
    answers_always = False
    wants_sample_index = True
    holds = "only the answers of the teacher are known. Distil with the live teacher."

    @property
    def provides(self) -> frozenset[str]:  # type: ignore[override]
        several = self.network.outputs[0].shape[-1] > 1
        shifted = several and self.network.outputs_form == "probabilities"
        return frozenset({LOG_PROBABILITIES if shifted else LOGITS})

    def accept(self, batch: Batch, step: Any) -> tuple[Batch, list[Any]]:
        batch, checks = super().accept(batch, step)
        index = batch.x.get(SAMPLE_INDEX) if isinstance(batch.x, dict) else None
        if index is None and step is not None:
            raise ValueError(
                f"The teacher {self.network.name!r} looks its answers up by the number of each "
                "example, and the data carry none. Put it into x: {'image': x, 'sample_index': "
                "ids}."
            )
        # Where nothing is trained, `answer` looks them up, if anybody asks: `predict` does not.
        if index is None or step is None:
            return batch, checks
        return batch.with_extras(**{_ANSWERS: self.network.answers_of(index)}), checks

    def answer(self, batch: Batch, watched: bool = False) -> Answer | None:
        if batch.mix is not None:
            raise ValueError(
                f"The teacher {self.network.name!r} answered about single examples, and "
                "`augmentation` mixes two into one view. Received: a mixing augmentation. Leave "
                "MixUp, CutMix and FMix out, or distil with a live teacher."
            )
        logits, index = batch.extras.get(_ANSWERS), batch.extras.get(SAMPLE_INDEX)
        if logits is None and index is not None:
            logits = self.network.answers_of(index)
        return None if logits is None else Answer(logits, {}, logits)


def _one_of(logits: Any, probabilities: Any) -> tuple[Any, str]:
    if (logits is None) == (probabilities is None):
        given = "neither" if logits is None else "both"
        raise ValueError(f"Pass either `logits` or `probabilities`. Received: {given}.")
    return (probabilities, "probabilities") if logits is None else (logits, "logits")


def _check_ids(ids: Any) -> np.ndarray:
    values = np.asarray(ids)
    is_text = values.dtype.kind in "US" or (
        values.dtype.kind == "O" and all(isinstance(value, (str, bytes)) for value in values.flat)
    )
    fits = is_text or (values.dtype.kind in "iu" and (values <= np.iinfo("int64").max).all())
    if values.ndim != 1 or not len(values) or not fits:
        raise ValueError(
            "`ids` must be the number or the name of each example, (examples,) whole numbers or "
            f"text. Received: {values.dtype} of shape {values.shape}."
        )
    if is_text:
        texts = [v.decode() if isinstance(v, bytes) else str(v) for v in values.tolist()]
        values = np.array([text.encode() for text in texts], dtype=object)
    else:
        values = values.astype("int64")
    unique, counts = np.unique(values, return_counts=True)
    if len(unique) < len(values):
        twice = unique[counts > 1][:3].tolist()
        raise ValueError(f"`ids` must name each example once. Received: several of {twice}.")
    return values


def _check_answers(answers: Any, ids: np.ndarray, outputs: str) -> np.ndarray:
    try:
        values = np.asarray(answers, "float32")
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"The answers must be numbers, as many for each example. It says: {error}"
        ) from error
    if values.ndim < 2 or len(values) != len(ids) or not values.size:
        raise ValueError(
            f"The answers must be one row of classes for each of the {len(ids)} ids. Received: "
            f"shape {values.shape}."
        )
    broken = ~np.isfinite(values).reshape(len(values), -1).all(axis=1)
    if broken.any():
        raise ValueError(
            f"The answers must be finite. Received: others for {int(broken.sum())} examples, such "
            f"as the id {ids[broken].tolist()[0]!r}."
        )
    if outputs == "probabilities":
        sums = values.sum(-1) if values.shape[-1] > 1 else np.ones(1)
        if values.min() < 0 or values.max() > 1 or np.abs(sums - 1).max() > _SUM_TOLERANCE:
            raise ValueError(
                "`probabilities` must lie between 0 and 1, and the classes of an example must sum "
                f"to 1. Received: values from {values.min():g} to {values.max():g}, sums from "
                f"{sums.min():g} to {sums.max():g}. Logits go to `logits`."
            )
    return values
