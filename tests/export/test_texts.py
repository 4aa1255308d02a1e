"""A student of texts leaves with its vocabulary, and the file takes sentences."""

import dataclasses
import io
import json
import zipfile

import numpy as np
import pytest

from kd_keras import export
from kd_keras.export import metadata
from kd_keras.jobs import classify
from kd_keras.models import text_network
from kd_keras.vocabulary import Vocabulary

VOCABULARY = Vocabulary(tuple(["a", "the", "film", "is", "not", "fine", "dull", "very", "é"]), 8)
LABELS = ("bad", "good")
TEXTS = ["a fine film", "the film is dull, very dull", "not fine", "unheard-of"]


@pytest.fixture(scope="module")
def of_texts():
    """The words `fine` and `dull` decide."""
    student = text_network("bag4", length=8, num_classes=2, vocabulary_size=VOCABULARY.size, seed=1)
    weights = dict(zip(VOCABULARY.words, np.zeros((len(VOCABULARY.words), 4)), strict=True))
    weights["fine"], weights["dull"] = np.full(4, 1.0), np.full(4, -1.0)
    table = np.concatenate([np.zeros((2, 4)), [weights[word] for word in VOCABULARY.words]])
    student.get_layer("embedding").set_weights([table])
    kernel = np.stack([np.full(4, -2.0), np.full(4, 2.0)], axis=1)
    student.get_layer("logits").set_weights([kernel, np.array([0.1, -0.1])])
    return student


@pytest.fixture(scope="module")
def files(of_texts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("texts")
    random = np.random.default_rng(0)
    lengths = random.integers(1, 9, (200, 1))
    ids = random.integers(1, VOCABULARY.size, (200, 8)) * (np.arange(8) < lengths)
    return {
        preset: export.to_tflite(
            of_texts,
            folder / f"{preset}.tflite",
            preset,
            ids.astype("int32"),
            input_range=None,
            labels=LABELS,
            vocabulary=VOCABULARY.words,
        )
        for preset in ("none", "dynamic", "int8")
    }


def test_the_file_holds_vocabulary_and_labels_and_takes_ids(files):
    for preset, result in files.items():
        assert metadata.read(result.path).vocabulary == VOCABULARY.words
        assert metadata.read(result.path).labels == LABELS
        model = export.LiteModel(result.path)
        assert (model.input_shape, model.input_dtype) == ((1, 8), np.int32)
        assert result.agreement >= 0.98
        assert preset == "none" or not np.isnan(result.largest_difference)
    with zipfile.ZipFile(io.BytesIO(files["int8"].path.read_bytes())) as archive:
        assert archive.namelist() == ["labels.txt", "vocab.txt"]
        words = archive.read("vocab.txt").decode().split("\n")
    assert words[:3] == ["[PAD]", "[UNK]", "a"]
    assert files["int8"].float_operators == ()


@pytest.mark.parametrize("preset", ["none", "dynamic", "int8"])
def test_sentences_get_the_probabilities_of_the_student(files, of_texts, preset):
    classifier = export.TextClassifier(files[preset].path)
    found = classifier.probabilities(TEXTS)
    logits = of_texts(VOCABULARY.ids(TEXTS)).numpy().astype("float64")
    powers = np.exp(logits)
    expected = powers / powers.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, atol=1e-6 if preset == "none" else 0.03)
    assert found.argmax(axis=1).tolist()[:3] == [1, 0, 1]
    assert [classifier.knows(text) for text in TEXTS] == [True, True, True, False]


def test_predict_prints_the_classes_of_sentences(files, command):
    done = command("predict", files["int8"].path, *TEXTS)
    assert done.code == 0
    assert "a fine film" in done.out and "good" in done.out
    assert "No word of 'unheard-of' is in the file's vocabulary" in " ".join(done.out.split())
    printed = json.loads(command("predict", files["int8"].path, TEXTS[1], "--json").out)
    (entry,) = printed["texts"]
    assert entry["text"] == TEXTS[1]
    assert entry["classes"][0]["label"] == "bad"
    empty = command("predict", files["int8"].path, "...")
    assert empty.code == 1
    assert "`texts` must hold a word or more each. Received: '...'" in empty.err


def test_a_file_of_texts_takes_no_options_of_pictures(files):
    with pytest.raises(ValueError, match="are for files that take images"):
        classify(files["none"].path, TEXTS, mean=1.0)


def test_a_file_of_ids_is_timed(files):
    assert export.latency(files["none"].path, runs=3, warmup=1).median_ms > 0


def test_a_file_without_a_vocabulary_is_no_classifier_of_texts(exported):
    with pytest.raises(ValueError, match="must take ids of words and hold a vocabulary"):
        export.TextClassifier(exported["none"].path)


def test_a_vocabulary_belongs_to_ids_and_beside_labels(exported, of_texts, tmp_path):
    with pytest.raises(ValueError, match="`vocabulary` belongs to a file with one input of ids"):
        metadata.pack(exported["none"].path.read_bytes(), labels=["a"] * 4, vocabulary=["b"])
    with pytest.raises(ValueError, match="say labels=\\[...\\] too"):
        export.to_tflite(of_texts, tmp_path / "s.tflite", vocabulary=["b"])


def test_packing_again_replaces_the_vocabulary(files):
    content = files["none"].path.read_bytes()
    again = metadata.pack(content, labels=LABELS, vocabulary=["other"], name="opinions")
    expected = dataclasses.replace(
        metadata.read(content), vocabulary=("other",), name="opinions", outputs="logits"
    )
    assert metadata.read(again) == expected
    assert metadata.read(metadata.pack(again, labels=LABELS)).vocabulary == ()
