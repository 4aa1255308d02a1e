"""A `.tflite` classifier of recordings: samples in, probabilities of named classes out."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from kd_keras.export.classifier import output_kind, softmax
from kd_keras.export.metadata import OutputKind, read
from kd_keras.export.runtime import LiteModel


class SoundClassifier:
    """A `.tflite` file that tells recordings apart, at the sample rate that its metadata give.

    Args:
        path: The file: samples `(batch, samples)` in -1..1 in, its classes on one output.
        threads: How many threads the kernels may use, >= 1.

    Attributes:
        model: The file in the interpreter.
        samples: How many samples it takes.
        sample_rate: How many of them are a second.
        labels: A name for each class.
        output: The name of the output with the classes.
        outputs: "logits" or "probabilities", as the metadata say.

    Raises:
        ValueError: If the file is damaged, or holds no sample rate and labels.

    Example:

    >>> import kd_keras, numpy as np
    >>> student = kd_keras.models.dscnn(4000, 2, width=4, seed=1)
    >>> result = kd_keras.export.to_tflite(
    ...     student, "student.tflite", input_range=(-1, 1), labels=["yes", "no"], sample_rate=8000)
    >>> classifier = kd_keras.export.SoundClassifier("student.tflite")
    >>> classifier.probabilities(np.zeros((3, 4000), "float32")).shape
    (3, 2)
    """

    def __init__(self, path: str | os.PathLike[str], *, threads: int = 1):
        self.model = LiteModel(path, threads=threads)
        metadata = read(path)
        shape = self.model.input_shape
        if (
            not metadata.sample_rate
            or metadata.labelled_output is None
            or len(shape) != 2
            or shape[1] is None
        ):
            raise ValueError(
                f"{str(path)!r} must take recordings and hold their sample rate and labels. "
                f"Received: a file with input {shape}, sample rate {metadata.sample_rate} and "
                f"{len(metadata.labels)} labels. Export it with to_tflite(..., labels=[...], "
                "sample_rate=...)."
            )
        self.samples = int(shape[1])
        self.sample_rate = metadata.sample_rate
        self.labels = metadata.labels
        self.output = metadata.labelled_output
        self.outputs: OutputKind = output_kind(self.model, self.output)

    def probabilities(self, audio: Any, batch_size: int = 32) -> np.ndarray:
        """Return the probabilities of the classes.

        Args:
            audio: Array `(recordings, samples)` in -1..1.
            batch_size: How many to run at a time.

        Returns:
            Float64 array `(recordings, classes)`: the file's output, or softmax(output) where it
            gives logits.

        Raises:
            ValueError: If the recordings have another shape than the file takes.
        """
        outputs = self.model.predict_all(np.asarray(audio, "float32"), batch_size)
        values = outputs[self.output].astype("float64")
        return softmax(values) if self.outputs == "logits" else values
