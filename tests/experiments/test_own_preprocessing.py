"""Teachers of the user's own that read text, or preprocess in `fit` and not when called."""

import csv
import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from rich.console import Console

from kd_keras import evaluate
from kd_keras.experiments.folder import RunFolder
from kd_keras.experiments.stages import prepare, train_networks
from kd_keras.models import IdsToText
from kd_keras.recipes import recipe_for
from tests.conftest import small_hub_backbone

GOOD, BAD = ("great", "fine", "lovely"), ("awful", "dull", "poor")
TEXTS = [f"The {word} film, number {k % 7}." for k in range(20) for word in (*GOOD, *BAD)]
LABELS = ["bad" if any(word in text for word in BAD) else "good" for text in TEXTS]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("own")


@pytest.fixture(scope="module")
def recipe(folder):
    path = folder / "reviews.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *zip(TEXTS, LABELS, strict=True)])
    return dataclasses.replace(recipe_for(str(path)), student="bag4", policy="none", epochs=1)


def bag(shape, end):
    """A network from strings to two classes that knows the words, as one is trained in Keras."""
    words = keras.layers.TextVectorization(output_sequence_length=6)
    words.adapt(TEXTS)
    inputs = keras.Input(shape, dtype="string")
    x = keras.layers.Embedding(40, 2, name="embedding")(words(inputs))
    x = keras.layers.GlobalAveragePooling1D()(x)
    network = keras.Model(inputs, keras.layers.Activation(end)(x))
    table = np.zeros((40, 2), "float32")
    for k, word in enumerate(words.get_vocabulary()):
        table[k] = [9.0 * (word in BAD), 9.0 * (word in GOOD)]
    network.get_layer("embedding").set_weights([table])
    return network


def taught(recipe, path):
    """Train by a recipe; return its teacher as it is kept, and its validation split."""
    path.mkdir()
    material = prepare(recipe, None)
    folder = RunFolder(path, recipe)
    folder.begin()
    train_networks(material, folder, Console(quiet=True))
    kept = keras.saving.load_model(folder.network("teacher"), compile=False)
    return kept, material.splits


@pytest.mark.parametrize(("shape", "end"), [((), "softmax"), ((1,), "linear")])
def test_a_teacher_that_reads_text_teaches_as_it_is(recipe, folder, tmp_path, shape, end):
    file = folder / f"bag{len(shape)}.keras"
    bag(shape, end).save(file)
    kept, splits = taught(dataclasses.replace(recipe, teacher=str(file)), tmp_path / "run")
    logits, labels = evaluate.predict_logits(kept, splits.validation)
    assert evaluate.accuracy(logits, labels) == 1.0


def test_a_student_that_reads_text_is_refused(recipe, folder):
    file = folder / "student.keras"
    bag((), "softmax").save(file)
    with pytest.raises(ValueError, match=r"must take ids of words, int32 of shape \(\d+,\)"):
        prepare(dataclasses.replace(recipe, student=str(file)), None)


def test_ids_become_the_text_that_they_stand_for():
    layer = IdsToText(("film", "fine"), unknown="?")
    ids = np.array([[3, 2, 0, 0], [1, 2, 3, 1], [0, 0, 0, 0]])
    assert layer(ids).numpy().tolist() == [b"fine film", b"? film fine ?", b""]
    again = IdsToText.from_config(layer.get_config())
    assert again(ids).numpy().tolist() == layer(ids).numpy().tolist()


def test_a_kerashub_teacher_has_tokens_of_its_own(recipe, folder, tmp_path):
    """What its preprocessor makes of the student's words is what it answers to."""
    hub = pytest.importorskip("keras_hub").models
    words = sorted({word for text in TEXTS for word in text.lower().replace(",", "").split()})
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", *words]
    tokenizer = hub.BertTokenizer(vocabulary=vocabulary, lowercase=True)
    backbone = hub.BertBackbone(
        vocabulary_size=len(vocabulary),
        num_layers=1,
        num_heads=1,
        hidden_dim=8,
        intermediate_dim=8,
        max_sequence_length=10,
    )
    task = hub.BertTextClassifier(
        backbone,
        num_classes=2,
        preprocessor=hub.BertTextClassifierPreprocessor(tokenizer, sequence_length=10),
    )
    file = folder / "bert.keras"
    task.save(file)
    taken = dataclasses.replace(recipe, teacher=str(file), train_teacher="no")
    kept, splits = taught(taken, tmp_path / "run")
    ids = next(iter(splits.validation))[0]
    texts = IdsToText(splits.info.details["vocabulary"])(ids)
    np.testing.assert_allclose(
        kept(ids, training=False), task.predict(texts, verbose=0), rtol=1e-4, atol=1e-5
    )
    assert np.ptp(kept(ids)) > 1e-4


def test_a_kerashub_classifier_of_images_is_shown_what_it_is_in_fit(folder, data_dir):
    hub = pytest.importorskip("keras_hub")
    scaled = hub.layers.ImageConverter(image_size=(16, 16), scale=1 / 255.0)
    backbone = small_hub_backbone(16)
    task = hub.models.ImageClassifier(
        backbone,
        num_classes=10,
        preprocessor=hub.models.ImageClassifierPreprocessor(scaled),
    )
    file = folder / "resnet.keras"
    task.save(file)
    recipe = dataclasses.replace(
        recipe_for("digits"), teacher=str(file), train_teacher="no", student="mlp4", limit=64
    )
    material = prepare(recipe, data_dir)
    teacher = material.build(recipe.stage("teacher"))
    images = next(iter(material.splits.validation))[0]
    shown = tf.image.resize(tf.repeat(tf.cast(images, "float32"), 3, axis=-1), (16, 16))
    np.testing.assert_allclose(
        teacher(images), task.predict(shown, verbose=0), rtol=1e-4, atol=1e-5
    )
