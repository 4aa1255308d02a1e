"""A file on a whole split in LiteRT: how accurate it is, and how near to student and teacher."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kd_keras.export.classifier import output_kind, softmax
from kd_keras.export.endings import ends_in_probabilities, graph_kinds
from kd_keras.export.runtime import LiteModel
from kd_keras.export.signature import MAIN, Signature, as_logits
from kd_keras.export.student import computing_in_float32, student_inputs


@dataclass(frozen=True)
class Comparison:
    """A file beside a Keras model, on the same examples.

    Attributes:
        accuracy: The Keras model's own accuracy, 0..1.
        agreement: Share of positions, 0..1, whose largest class is the same in both.
        largest_difference: Largest absolute difference of the outputs.
        mean_difference: Mean absolute difference of the outputs.
    """

    accuracy: float
    agreement: float
    largest_difference: float
    mean_difference: float


@dataclass(frozen=True)
class Verification:
    """What a file does on a whole split.

    Attributes:
        path: The file.
        bytes: Its size.
        sha256: Its SHA-256 digest, hexadecimal.
        output: Name of the output that was looked at.
        examples: How many examples the split has.
        accuracy: The file's accuracy in LiteRT, 0..1.
        student: The file beside its student, if one was given.
        teacher: The file beside the teacher, if one was given. Teacher and student answer on scales
            of their own, so of this the agreement counts.
    """

    path: Path
    bytes: int
    sha256: str
    output: str
    examples: int
    accuracy: float
    student: Comparison | None
    teacher: Comparison | None


def verify(
    path: str | os.PathLike[str],
    dataset: tf.data.Dataset,
    student: keras.Model | None = None,
    teacher: keras.Model | None = None,
    *,
    output: str | None = None,
    threads: int = 1,
    progress: Callable[[int], None] | None = None,
) -> Verification:
    """Measure a `.tflite` file on a whole split, and compare it with the models behind it.

    Args:
        path: The file.
        dataset: A finite `tf.data.Dataset` of batches (x, y) or (x, y, weight): x raw images as the
            student takes them, y class ids, or one-hot labels of the shape of the output.
        student: The Keras model that the file was made from. It calculates in float32, as in
            `to_tflite`.
        teacher: The Keras model that taught the student.
        output: Name of the output to look at, in a file that has several. A Keras model with a dict
            of outputs answers under the same name.
        threads: How many threads the file's kernels may use.
        progress: Called after every batch with the number of examples done.

    Returns:
        `Verification`. `missed(verification, min_accuracy=...)` says whether it is good enough.

    Raises:
        TypeError: If `student` or `teacher` is no Keras model, or was not built.
        ValueError: If the file is damaged or gives NaN, the dataset is empty, endless, without
            labels or of other images or classes than the file takes, or student or teacher give
            outputs of another shape than the file.

    Example:

    >>> import keras, kd_keras, tensorflow as tf
    >>> student = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(),
    ...                             keras.layers.Dense(10)])
    >>> result = kd_keras.export.to_tflite(student, "student.tflite")
    >>> test = tf.data.Dataset.from_tensors((tf.zeros((5, 8, 8, 1), tf.uint8), [0, 0, 0, 3, 4]))
    >>> verification = kd_keras.export.verify("student.tflite", test, student)
    >>> verification.accuracy, verification.student.agreement
    (0.6, 1.0)
    """
    model = LiteModel(path, threads=threads)
    name = _chosen(model, output)
    _check_dataset(dataset, model)
    gives_probabilities = output_kind(model, name) == "probabilities"
    file, examples = _Agreement(), 0
    with contextlib.ExitStack() as stack:
        others = {}
        for role, network in (("student", student), ("teacher", teacher)):
            if network is not None:
                predict = stack.enter_context(_predictor(role, network))
                kinds = graph_kinds(network)
                kind = (
                    next(iter(kinds.values()))
                    if len(kinds) == 1
                    else kinds.get(name, kinds.get(as_logits(name), "unknown"))
                )
                others[role] = _Beside(role, predict, name, gives_probabilities, kind)
        for x, y, *_ in dataset:
            images = x.numpy()
            answer = model.predict_all(images, batch_size=len(images))[name]
            _check_answer(answer, model.path, name)
            labels = _classes(y, answer)
            file.add(answer.argmax(-1), labels)
            for other in others.values():
                other.add(images, answer, labels)
            examples += len(images)
            if progress is not None:
                progress(examples)
    if examples == 0:
        raise ValueError(f"`dataset` must hold at least one batch. Received: {dataset!r}")
    content = model.content
    return Verification(
        path=model.path,
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        output=name,
        examples=examples,
        accuracy=file.share,
        student=others["student"].result() if "student" in others else None,
        teacher=others["teacher"].result() if "teacher" in others else None,
    )


@dataclass
class _Agreement:
    """How often two rows of classes are the same."""

    same: int = 0
    count: int = 0

    def add(self, classes: np.ndarray, others: np.ndarray) -> None:
        self.same += int(np.sum(classes == others))
        self.count += classes.size

    @property
    def share(self) -> float:
        return self.same / self.count


@dataclass
class _Beside:
    """A Keras model that answers beside the file."""

    role: str
    predict: Callable[[np.ndarray], dict[str, np.ndarray]]
    name: str
    as_probabilities: bool
    kind: str
    right: _Agreement = field(default_factory=_Agreement)
    agreement: _Agreement = field(default_factory=_Agreement)
    largest: float = 0.0
    total: float = 0.0
    values: int = 0

    def add(self, images: np.ndarray, answer: np.ndarray, labels: np.ndarray) -> None:
        outputs = self.predict(images)
        # A file of other tools names its only output as it likes.
        value = (
            next(iter(outputs.values()))
            if len(outputs) == 1
            else outputs.get(self.name, outputs.get(as_logits(self.name)))
        )
        if value is None or value.shape != answer.shape:
            received = {name: output.shape for name, output in outputs.items()}
            raise ValueError(
                f"`{self.role}` must give what the file's output {self.name!r} does, of shape "
                f"{(None, *answer.shape[1:])}. Received: {received}. Is it a model of other data?"
            )
        if self.as_probabilities and not ends_in_probabilities(self.kind, value):
            # The file ends in a softmax that the model behind it does not have.
            value = softmax(value)
        classes = value.argmax(-1)
        self.right.add(classes, labels)
        self.agreement.add(classes, answer.argmax(-1))
        difference = np.abs(answer.astype("float64") - value)
        self.largest = max(self.largest, float(difference.max()))
        self.total += float(difference.sum())
        self.values += difference.size

    def result(self) -> Comparison:
        return Comparison(
            self.right.share, self.agreement.share, self.largest, self.total / self.values
        )


@contextlib.contextmanager
def _predictor(
    role: str, network: keras.Model
) -> Iterator[Callable[[np.ndarray], dict[str, np.ndarray]]]:
    """Yield the model as a function of a batch, outputs by name, as float32."""
    if not isinstance(network, keras.Model) or not network.built:
        raise TypeError(
            f"`{role}` must be a `keras.Model` that has its weights. Received: {role}={network!r} "
            f"(of type {type(network).__name__})"
        )
    signature = Signature(MAIN, network, student_inputs(network, None))
    if len(signature.specs) != 1:
        raise ValueError(
            f"`{role}` must take one tensor of images. "
            f"Received: a {role} with the inputs {sorted(signature.inputs.specs)}"
        )
    (spec,) = signature.specs
    # A teacher answers as it taught, in its own precision.
    with computing_in_float32(network) if role == "student" else contextlib.nullcontext():
        forward = tf.function(signature).get_concrete_function(spec)

        def predict(images: np.ndarray) -> dict[str, np.ndarray]:
            if not spec.shape.is_compatible_with(images.shape):
                raise ValueError(
                    f"`{role}` must take the images that the file takes. Received: a {role} with "
                    f"input {tuple(spec.shape)} for images of shape {images.shape}"
                )
            outputs = forward(tf.constant(images.astype(spec.dtype.as_numpy_dtype)))
            return {name: np.asarray(value, "float32") for name, value in outputs.items()}

        yield predict


def _chosen(model: LiteModel, output: str | None) -> str:
    names = model.output_names
    if output is None and len(names) == 1:
        return names[0]
    if output not in names:
        raise ValueError(
            f"`output` must name one of the file's outputs: {', '.join(names)}. "
            f"Received: output={output!r} for {str(model.path)!r}"
        )
    return output


def _check_dataset(dataset: Any, model: LiteModel) -> None:
    if not isinstance(dataset, tf.data.Dataset):
        raise TypeError(
            "`dataset` must be a tf.data.Dataset of batches (x, y). "
            f"Received: an object of type {type(dataset).__name__}"
        )
    if dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise ValueError("`dataset` must end. Received: a repeated dataset; leave `.repeat()` out.")
    spec = dataset.element_spec
    if not isinstance(spec, tuple) or len(spec) < 2:
        raise ValueError(
            "`dataset` must yield (x, y), because accuracy needs labels. "
            f"Received: elements {spec!r}"
        )
    if not all(isinstance(part, tf.TensorSpec) for part in spec[:2]):
        raise ValueError(
            f"`dataset` must yield (x, y) with x and y one tensor each. Received: elements {spec!r}"
        )
    check_images(spec[0].shape[1:], model)


def check_images(shape: Any, model: LiteModel) -> None:
    """Raise unless images of this shape, without the batch, are what the file takes."""
    takes = tf.TensorShape(model.input_shape[1:])
    if takes.is_compatible_with(shape):
        return
    shape = tf.TensorShape(shape)
    if takes.rank == shape.rank == 3 and not takes[-1:].is_compatible_with(shape[-1:]):
        kinds = {1: "grey", 3: "RGB"}
        wanted, given = (kinds.get(each[-1], f"{each[-1]} channels") for each in (takes, shape))
        turn = channel_turn(shape, takes)
        remedy = f"The file takes {wanted} images and these are {given}, " + (
            f"which `kd-keras verify --resize` and tf.image.{turn.__name__} change. Or verify"
            if turn
            else "which resizing does not change. Verify"
        )
    else:
        remedy = "Resize them (`kd-keras verify --resize`), or verify"
    raise ValueError(
        f"`dataset` must hold images of the shape {tuple(takes)} that {str(model.path)!r} "
        f"takes. Received: images of shape {tuple(shape)}. {remedy} the file on the data that its "
        "student learned from."
    )


def channel_turn(given: Sequence[int | None], taken: Sequence[int | None]) -> Any:
    """Return the function of TensorFlow from images of shape `given` to the channels of `taken`.

    None where that is none of grey to RGB and RGB to grey.
    """
    turns: dict[Any, Any] = {(1, 3): tf.image.grayscale_to_rgb, (3, 1): tf.image.rgb_to_grayscale}
    return turns.get((given[-1], taken[-1])) if given and taken else None


def _check_answer(answer: np.ndarray, path: Path, name: str) -> None:
    if answer.ndim < 2 or answer.shape[-1] < 2:
        raise ValueError(
            f"The output {name!r} of {str(path)!r} must be scores (examples, ..., classes) of two "
            f"classes or more. Received: shape {answer.shape}"
        )
    if not np.isfinite(answer).all():
        raise ValueError(
            f"The output {name!r} of {str(path)!r} is not finite (NaN or infinity) on these data. "
            "Look for NaN weights in the student, and export it again."
        )


def _classes(labels: Any, answer: np.ndarray) -> np.ndarray:
    """Return the class ids of the labels, of the shape of the scores without the classes."""
    values = np.asarray(labels)
    if values.shape == answer.shape and answer.ndim > 1 and values.shape != answer.shape[:-1]:
        return values.argmax(-1)
    if values.shape == (*answer.shape[:-1], 1):
        values = values[..., 0]
    if values.shape != answer.shape[:-1]:
        raise ValueError(
            f"`dataset` must yield class ids of shape {(None, *answer.shape[1:-1])} or one-hot "
            f"labels of shape {(None, *answer.shape[1:])}. Received: labels {values.shape}"
        )
    least, most = int(values.min()), int(values.max())
    if least < 0 or most >= answer.shape[-1]:
        raise ValueError(
            f"`dataset` must hold labels from 0 to {answer.shape[-1] - 1}, the file's classes. "
            f"Received: labels from {least} to {most}. Is it another dataset than the student's?"
        )
    return values
