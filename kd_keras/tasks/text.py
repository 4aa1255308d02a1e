"""Texts, each of one class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kd_keras import augment, models
from kd_keras.arguments import check_choice
from kd_keras.augment.contract import Augmentation
from kd_keras.augment.tokens import NGram, TokenLayer, WordDropout, WordMask
from kd_keras.data.splits import DataInfo
from kd_keras.evaluate import Trials
from kd_keras.tasks.task import Task
from kd_keras.vocabulary import Vocabulary

_POLICIES: dict[str, Callable[[], list[TokenLayer]]] = {
    "none": list,
    "word_dropout": lambda: [WordDropout(0.2)],
    "text": lambda: [NGram(0.25), WordDropout(0.1), WordMask(0.1)],
}


class TextTask(Task):
    """Classify texts: int32 ids of words `(batch, length)`, a class of each.

    Robustness is measured on ids: a word with a typo in it is one that is not known, and dropped
    words are left out.
    """

    name = "text"
    noun = "text"
    policies = tuple(_POLICIES)

    def network(
        self, name: str, info: DataInfo, *, weight_decay: float = 0.0, seed: int | None = None
    ) -> keras.Model:
        return models.text_network(
            name,
            length=info.input_shape[0],
            num_classes=info.num_classes,
            vocabulary_size=self.vocabulary(info).size,
            weight_decay=weight_decay,
            seed=seed,
        )

    def policy(self, name: str, seed: int) -> Augmentation:
        check_choice("policy", name, self.policies)
        return augment.TokenPolicy(_POLICIES[name](), seed=seed, name=name)

    def trials(self, seed: int = 0) -> Trials:
        """Return typos in, and the loss of, a tenth and three tenths of the words."""
        perturbations = {}
        for percent in (10, 30):
            perturbations[f"typos, {percent} % of words"] = _changed(WordMask(percent / 100, seed))
            perturbations[f"dropped, {percent} % of words"] = _changed(
                WordDropout(percent / 100, seed)
            )
        return Trials((), (), (), (), attacks=False, perturbations=perturbations)

    def export_arguments(self, info: DataInfo) -> dict[str, Any]:
        """Return the names of the classes and the vocabulary, which are packed into the file."""
        vocabulary = self.vocabulary(info)
        return {"labels": info.class_names, "input_range": None, "vocabulary": vocabulary.words}

    def vocabulary(self, info: DataInfo) -> Vocabulary:
        """Return the vocabulary of the training part."""
        return Vocabulary(tuple(info.details["vocabulary"]), info.input_shape[0])


def _changed(layer: TokenLayer) -> Callable[[Any], Any]:
    return lambda ids: np.asarray(layer(tf.constant(ids), step=0))
