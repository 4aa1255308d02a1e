"""A vocabulary makes the same ids of a text wherever it comes from."""

import numpy as np
import pytest

from kd_keras.vocabulary import PADDING, UNKNOWN, Vocabulary, split_words

TEXTS = ["A fine film, really!", "a dull film", "Film: a fine one.", "it's a\u00a0b É"]


@pytest.fixture(scope="module")
def vocabulary():
    return Vocabulary.learn(TEXTS, length=5)


def test_the_commonest_words_come_first_and_padding_and_unknown_words_have_their_ids(vocabulary):
    assert vocabulary.words[:3] == ("film", "a", "fine")
    ids = vocabulary.ids(["FILM a unheard-of thing", "", "a a a a a a a"])
    assert ids.dtype == np.int32
    assert ids.tolist() == [
        [2, 3, UNKNOWN, UNKNOWN, PADDING],
        [PADDING] * 5,
        [3] * 5,
    ]
    assert vocabulary.size == 2 + len(vocabulary.words)


def test_words_are_split_as_the_layer_splits_them(vocabulary):
    ids = {word: number for number, word in enumerate(vocabulary.words, start=2)}
    for text in TEXTS:
        row = [ids[word] for word in split_words(text)]
        assert vocabulary.ids([text])[0, : len(row)].tolist() == row


def test_size_and_length_are_bounded():
    vocabulary = Vocabulary.learn(["one two three " * 40], size=4)
    assert vocabulary.size == 4
    assert vocabulary.length == 64


def test_lines_give_the_vocabulary_back_and_the_fingerprint_tells_others_apart(vocabulary):
    lines = vocabulary.lines()
    assert lines.split("\n")[vocabulary.ids(["dull"])[0, 0]] == "dull"
    assert Vocabulary.from_lines(lines, 5) == vocabulary
    others = [
        Vocabulary(vocabulary.words, 6),
        Vocabulary(vocabulary.words[::-1], 5),
        Vocabulary(vocabulary.words[:-1], 5),
    ]
    assert len({each.fingerprint for each in (vocabulary, *others)}) == 4


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Vocabulary.learn([]), "must hold words to learn. Received: 0 texts"),
        (lambda: Vocabulary.learn(["...", ""]), "Received: 2 texts without any"),
        (lambda: Vocabulary.learn(["a"], size=2), "`size` must be an integer from 3"),
        (lambda: Vocabulary(("a", "a"), 3), "some are there twice"),
        (lambda: Vocabulary(("a b",), 3), "without white space"),
        (lambda: Vocabulary(("a",), 0), "`length`"),
        (lambda: Vocabulary.from_lines("a\nb\n", 3), r"begin with the lines \[PAD\] and \[UNK\]"),
    ],
)
def test_what_is_no_vocabulary_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
