"""A `.tflite` classifier of texts: strings in, probabilities of named classes out."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from kd_keras.export.classifier import output_kind, softmax
from kd_keras.export.metadata import OutputKind, read
from kd_keras.export.runtime import LiteModel
from kd_keras.vocabulary import UNKNOWN, Vocabulary


class TextClassifier:
    """A `.tflite` file that tells texts apart, by the vocabulary in its metadata.

    Args:
        path: The file: ids of words `(batch, length)` in, its classes on one output.
        threads: How many threads the kernels may use, >= 1.

    Attributes:
        model: The file in the interpreter.
        vocabulary: Makes ids of texts.
        labels: A name for each class.
        output: The name of the output with the classes.
        outputs: "logits" or "probabilities", as the metadata say.

    Raises:
        ValueError: If the file is damaged, or holds no vocabulary and labels.

    Example:

    >>> import kd_keras, numpy as np
    >>> student = kd_keras.models.text_network(
    ...     "bag4", length=4, num_classes=2, vocabulary_size=5, seed=1)
    >>> result = kd_keras.export.to_tflite(
    ...     student, "student.tflite", input_range=None, verification_data=np.array([[2, 3, 4, 0]]),
    ...     labels=["bad", "good"], vocabulary=["a", "fine", "film"])
    >>> classifier = kd_keras.export.TextClassifier("student.tflite")
    >>> classifier.probabilities(["A fine film!", "a film"]).shape
    (2, 2)
    """

    def __init__(self, path: str | os.PathLike[str], *, threads: int = 1):
        self.model = LiteModel(path, threads=threads)
        metadata = read(path)
        shape = self.model.input_shape
        length = shape[1] if len(shape) == 2 else None
        if not metadata.vocabulary or metadata.labelled_output is None or length is None:
            raise ValueError(
                f"{str(path)!r} must take ids of words and hold a vocabulary and labels. Received: "
                f"a file with input {shape}, {len(metadata.vocabulary)} words and "
                f"{len(metadata.labels)} labels. Export it with "
                "to_tflite(..., labels=[...], vocabulary=[...])."
            )
        self.vocabulary = Vocabulary(metadata.vocabulary, length)
        self.labels = metadata.labels
        self.output = metadata.labelled_output
        self.outputs: OutputKind = output_kind(self.model, self.output)

    def probabilities(self, texts: Sequence[str], batch_size: int = 32) -> np.ndarray:
        """Return the probabilities of the classes.

        Args:
            texts: The texts. What is beyond the file's length in words is cut off.
            batch_size: How many to run at a time.

        Returns:
            Float64 array `(texts, classes)`: the file's output, or softmax(output) where it gives
            logits.

        Raises:
            ValueError: If a text has no word.
        """
        ids = self.vocabulary.ids(texts)
        empty = [text for text, row in zip(texts, ids, strict=True) if not row.any()]
        if empty:
            raise ValueError(
                f"`texts` must hold a word or more each. Received: {empty[0]!r}, which has none. "
                "Give a sentence."
            )
        outputs = self.model.predict_all(ids, batch_size)
        values = outputs[self.output].astype("float64")
        return softmax(values) if self.outputs == "logits" else values

    def knows(self, text: str) -> bool:
        """Return whether the vocabulary has a word of the text."""
        return bool((self.vocabulary.ids([text]) > UNKNOWN).any())
