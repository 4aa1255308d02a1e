"""Generated opinions of films, good and bad: texts for tests and smoke runs, without any files."""

from __future__ import annotations

import random

import numpy as np

from kd_keras.data.texts import Texts, TextSource

_TRAIN, _TEST = 3000, 500
_THINGS = ("film", "story", "plot", "cast", "acting", "music", "ending", "script", "dialogue")
_GOOD = ("fine", "moving", "funny", "clever", "warm", "brilliant", "honest", "fresh", "gripping")
_BAD = ("dull", "awful", "clumsy", "boring", "hollow", "stale", "tedious", "silly", "messy")
_DEGREES = ("", "", "", "very", "really", "quite", "rather")
_LABELS = ("negative", "positive")


def open_opinions() -> TextSource:
    """Return the opinions: some words are good and some bad, `not` turns the meaning round.

    Of two clauses that `but` joins, the second one decides. The texts are always the same.
    """
    chance = random.Random("opinions")
    texts: dict[str, int] = {}
    while len(texts) < _TRAIN + _TEST:  # no test text is a training text
        text, label = _opinion(chance)
        texts.setdefault(text, label)
    rows = list(texts.items())
    splits = {
        split: Texts([text for text, _ in part], np.array([label for _, label in part], "int64"))
        for split, part in (("train", rows[:_TRAIN]), ("test", rows[_TRAIN:]))
    }
    return TextSource("opinions", _LABELS, splits, "1.0.0")


def _opinion(chance: random.Random) -> tuple[str, int]:
    first, label = _clause(chance)
    if chance.random() < 0.5:
        return f"{first} .", label
    second, of_second = _clause(chance)
    if label == of_second:
        return f"{first} and {second} .", label
    return f"{first} but {second} .", of_second


def _clause(chance: random.Random) -> tuple[str, int]:
    good, turned = chance.random() < 0.5, chance.random() < 0.3
    thing, degree = chance.choice(_THINGS), chance.choice(_DEGREES)
    quality = chance.choice(_GOOD if good else _BAD)
    words = ("the", thing, "is", "not" if turned else "", degree, quality)
    return " ".join(filter(None, words)), int(good != turned)
