"""Where a quantised file goes wrong: each operator against its float twin."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kd_keras.export.conversion import convert
from kd_keras.export.fake_quantization import check_trained_ranges
from kd_keras.export.isolated import isolate
from kd_keras.export.matching import match
from kd_keras.export.plain import PlainModel, open_plain
from kd_keras.export.runtime import LiteModel
from kd_keras.export.signature import all_signatures
from kd_keras.export.student import check_student, computing_in_float32, student_inputs
from kd_keras.whole_file import scratch_folder

_BATCH_SIZE = 32
_FORM = ("QUANTIZE", "DEQUANTIZE")
_OTHER_STUDENT = (
    "The operators of the file are not those of `student`'s float32 conversion. Pass the student "
    "that the file was made from."
)


@dataclass(frozen=True)
class LayerDifference:
    """One operator of a file, compared with the same operator of the float32 file.

    With `f` the float value and `q` the file's, in real units, the signal-to-quantisation-noise
    ratio is

    ```
    SQNR = 10 log10( sum f^2 / sum (q - f)^2 )  dB
    ```

    Six decibels are one bit. It is infinite where both are the same.

    Attributes:
        operator: TFLite's name of it, such as "CONV_2D"; "INPUT" for the input of a file that takes
            integers.
        tensor: Name of its output.
        sqnr: SQNR of the output, of all that went wrong up to here: `f` is from the float32 file.
        own_sqnr: SQNR of this operator alone: `f` is what the float operator makes of the very
            values that the file's operator read.
        channel_sqnr: The same from the mean over channels (the last axis) of the noise-to-signal
            ratio, at most 1 for each. It falls where channels are lost beside a loud one, which
            `own_sqnr` does not see; at 0 dB all are.
        mean_error: Mean absolute error up to here, as a share of the range of `f`.
        step: Quantisation step of the output in real units; None where it is floating.
        clipped: Share of values, 0..1, that lie outside what the output can hold; None where it is
            floating.
    """

    operator: str
    tensor: str
    sqnr: float
    own_sqnr: float
    channel_sqnr: float
    mean_error: float
    step: float | None
    clipped: float | None

    @property
    def worse_sqnr(self) -> float:
        """The lower one of `own_sqnr` and `channel_sqnr`."""
        return min(self.own_sqnr, self.channel_sqnr)


@dataclass(frozen=True)
class LayerReport:
    """All operators of a file that have a float twin.

    Attributes:
        layers: In the order of the graph.
        uncompared: Operators that calculate and have no twin, as "KIND tensor".
        examples: How many examples they were compared on.
    """

    layers: tuple[LayerDifference, ...]
    uncompared: tuple[str, ...]
    examples: int

    @property
    def worst(self) -> int | None:
        """Index of the layer that harms most by itself, or None where none does any harm."""
        if not self.layers:
            return None
        worst = min(range(len(self.layers)), key=lambda i: self.layers[i].worse_sqnr)
        return None if math.isinf(self.layers[worst].worse_sqnr) else worst


def layer_differences(
    path: str | os.PathLike[str],
    student: keras.Model,
    examples: Any,
    *,
    progress: Callable[[int], None] | None = None,
) -> LayerReport:
    """Compare a file operator by operator with the float32 file of the same student.

    The student is converted without quantisation. Both files run on LiteRT without delegates; each
    float operator runs once more on the values that its twin in the file read, so that an
    operator's own error is told from what it was handed. (XNNPACK rounds in other places, so the
    file's outputs there differ a little from these.)

    Args:
        path: The file, of any preset.
        student: The Keras model that it came from.
        examples: Array `(examples, ...)` of raw images; a few dozen say enough.
        progress: Called after every batch with the number of examples done.

    Returns:
        `LayerReport`, in the order of the graph; `report.layers[report.worst]` harms most.

    Raises:
        ValueError: If the file is damaged, the examples do not fit, or the student cannot be
            converted or is another one's: no operator of it is in the file.

    Example:

    >>> import keras, kd_keras, numpy as np
    >>> student = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(),
    ...                             keras.layers.Dense(10)])
    >>> images = np.random.default_rng(0).integers(0, 256, (100, 8, 8, 1), dtype="uint8")
    >>> result = kd_keras.export.to_tflite(student, "student.tflite", "int8", images)
    >>> report = kd_keras.export.layer_differences("student.tflite", student, images)
    >>> report.layers[report.worst].operator
    'FULLY_CONNECTED'

    Reference: the SQNR as a measure of layers is that of Sheng et al., "A Quantization-Friendly
    Separable Convolution for MobileNets", arXiv:1803.08607.
    """
    model = LiteModel(path)
    (images,) = model.checked(np.asarray(examples)).values()
    fixed = model.input_shape[0]
    comparison = _Comparison(open_plain(path, keep=True), _float_twin(student, fixed))
    size = fixed or _BATCH_SIZE
    # A file of fixed batch size cannot take a smaller last batch.
    done = 0
    for start in range(0, len(images) - (fixed or 1) + 1, size):
        batch = images[start : start + size]
        comparison.add(batch)
        done += len(batch)
        if progress is not None:
            progress(done)
    if done == 0:
        raise ValueError(
            f"`examples` must fill a batch of the file's size {fixed}. "
            f"Received: {len(images)} examples."
        )
    return comparison.report(done)


def _float_twin(student: keras.Model, batch_size: int | None) -> PlainModel:
    """Return the file that the student becomes without quantisation."""
    check_student(student)
    signatures = all_signatures(student, student_inputs(student, batch_size), None, None)
    check_trained_ranges(student, signatures[0], "none")
    with computing_in_float32(student), scratch_folder() as folder:
        path = folder / "float32.tflite"
        path.write_bytes(convert(student, signatures, "none", None))
        return open_plain(path, keep=True)


@dataclass
class _Sums:
    """What is summed over batches for one tensor."""

    operator: str
    tensor: str
    step: float | None
    signal: float = 0.0
    noise: float = 0.0
    error: float = 0.0
    count: int = 0
    low: float = math.inf
    high: float = -math.inf
    clipped: int = 0
    own_signal: Any = field(default=0.0)
    own_noise: Any = field(default=0.0)

    def add(self, value: np.ndarray, reference: np.ndarray, own: np.ndarray, limits: Any) -> None:
        value, reference, own = (a.astype("float64") for a in (value, reference, own))
        # The logarithm of a quantised 0 is no number of which anything can be said.
        finite = np.isfinite(value) & np.isfinite(reference) & np.isfinite(own)
        value, reference, own = (np.where(finite, a, 0.0) for a in (value, reference, own))
        self.signal += float(np.sum(reference**2))
        self.noise += float(np.sum((value - reference) ** 2))
        self.error += float(np.sum(np.abs(value - reference)))
        self.count += value.size
        self.low = min(self.low, float(reference.min()))
        self.high = max(self.high, float(reference.max()))
        if limits is not None:
            self.clipped += int(np.sum((own < limits[0]) | (own > limits[1])))
        others = tuple(range(own.ndim - 1))
        self.own_signal = self.own_signal + np.sum(own**2, axis=others)
        self.own_noise = self.own_noise + np.sum((value - own) ** 2, axis=others)

    def result(self) -> LayerDifference:
        signal, noise = np.atleast_1d(self.own_signal), np.atleast_1d(self.own_noise)
        ratios = np.where(noise == 0, 0.0, noise / np.where(signal == 0, 1e-300, signal))
        spread = self.high - self.low
        return LayerDifference(
            operator=self.operator,
            tensor=self.tensor,
            sqnr=_decibels(self.signal, self.noise),
            own_sqnr=_decibels(float(signal.sum()), float(noise.sum())),
            channel_sqnr=_decibels(1.0, float(np.minimum(ratios, 1.0).mean())),
            mean_error=self.error / self.count / spread if spread else 0.0,
            step=self.step,
            clipped=None if self.step is None else self.clipped / self.count,
        )


class _Comparison:
    """A file and its float twin, run on the same batches."""

    def __init__(self, model: PlainModel, whole: PlainModel):
        apart = isolate(whole.content)
        self._model, self._whole, self._feeds = model, whole, apart.feeds
        self._apart = PlainModel(apart.content, Path("float32.tflite"))
        self._pairs = match(model, whole)
        # Of the file's tensors, the float tensor whose value each stands for.
        self._stands_for = dict(zip(model.inputs, whole.inputs, strict=True))
        for position, node in enumerate(model.nodes):
            source = node.inputs[0] if node.inputs else -1
            if node.kind in _FORM and source in self._stands_for:
                self._stands_for[node.outputs[0]] = self._stands_for[source]
            elif position in self._pairs:
                twin = whole.nodes[self._pairs[position]]
                self._stands_for.update(zip(node.outputs, twin.outputs, strict=False))
        self._sums: dict[int, _Sums] = {}
        self._compared: set[int] = set()

    def add(self, images: np.ndarray) -> None:
        """Run a batch through the file, its twin, and the twin's operators one by one."""
        (entry,), (float_entry,) = self._model.inputs, self._whole.inputs
        self._model.run({entry: images})
        self._whole.run({float_entry: images})
        try:
            self._apart.run(self._fed())
        except (RuntimeError, ValueError) as error:
            raise ValueError(f"{_OTHER_STUDENT} LiteRT said: {error}") from error
        if self._limits(entry) is not None:
            self._note(entry, "INPUT", images.astype("float32"))
        for position, node in enumerate(self._model.nodes):
            if node.kind in _FORM and node.outputs[0] in self._stands_for:
                self._note(node.outputs[0], node.kind, self._model.real(node.inputs[0]))
                self._compared.add(position)
            elif position in self._pairs:
                twin = self._whole.nodes[self._pairs[position]]
                for output, float_output in zip(node.outputs, twin.outputs, strict=False):
                    if self._is_float(float_output):
                        self._note(output, node.kind, self._apart.real(float_output))
                self._compared.add(position)

    def report(self, examples: int) -> LayerReport:
        nodes = self._model.nodes
        left = [
            node
            for position, node in enumerate(nodes)
            if position not in self._compared and node.kind not in _FORM
        ]
        if len(left) == len([node for node in nodes if node.kind not in _FORM]):
            raise ValueError(_OTHER_STUDENT)
        return LayerReport(
            layers=tuple(sums.result() for sums in self._sums.values()),
            uncompared=tuple(
                f"{node.kind} {self._model.details[node.outputs[0]]['name']}"
                for node in left
                if node.outputs
            ),
            examples=examples,
        )

    def _fed(self) -> dict[int, np.ndarray]:
        """Return the values for the isolated operators: what their twins in the file read."""
        twins = {other: mine for mine, other in self._pairs.items()}
        values = {}
        for (position, place), feed in self._feeds.items():
            if position in twins:
                values[feed] = self._model.real(self._model.nodes[twins[position]].inputs[place])
            else:
                values[feed] = self._whole.real(self._whole.nodes[position].inputs[place])
        for index in self._apart.inputs:
            # An integer input of the whole graph keeps its index.
            if index not in values:
                values[index] = self._whole.real(index)
        return values

    def _note(self, index: int, kind: str, own: np.ndarray) -> None:
        detail = self._model.details[index]
        if index not in self._sums:
            scale = float(detail["quantization"][0])
            self._sums[index] = _Sums(kind, str(detail["name"]), scale or None)
        value = self._model.real(index)
        reference = self._whole.real(self._stands_for[index])
        self._sums[index].add(value, reference, own, self._limits(index))

    def _limits(self, index: int) -> tuple[float, float] | None:
        """Return the least and greatest value of an integer tensor, with the half step of each."""
        scale, zero_point = self._model.details[index]["quantization"]
        if not scale:
            return None
        held = np.iinfo(self._model.details[index]["dtype"])
        low, high = (float(scale) * (int(end) - zero_point) for end in (held.min, held.max))
        return low - 0.5 * scale, high + 0.5 * scale

    def _is_float(self, index: int) -> bool:
        return np.issubdtype(self._whole.details[index]["dtype"], np.floating)


def _decibels(signal: float, noise: float) -> float:
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal else -math.inf
