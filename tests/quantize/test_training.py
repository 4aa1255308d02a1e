"""The copy as the student of a Distiller: it learns, its ranges follow, XLA and replicas agree."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import pytest

import kd_keras
from kd_keras.quantize import FakeQuantize, quantization_aware
from tests import processes
from tests.quantize import students

WORKER = Path(__file__).with_name("replicas_script.py")


def fit(copy, photos, *, jit_compile=False, epochs=3):
    labels = np.random.default_rng(2).integers(0, 5, len(photos))
    teacher = students.conv()
    distiller = kd_keras.Distiller(
        teacher,
        copy,
        [
            kd_keras.losses.KLDivergence(4.0),
            keras.distillation.FeatureDistillation("mse", "features", "features"),
        ],
    )
    distiller.compile(
        keras.optimizers.SGD(1e-2),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=jit_compile,
    )
    history = distiller.fit(
        photos.astype("float32"), labels, epochs=epochs, batch_size=40, verbose=0, shuffle=False
    )
    return distiller, history.history


def ranges(model):
    return {
        layer.name: (float(layer.low), float(layer.high))
        for layer in model.layers
        if isinstance(layer, FakeQuantize)
    }


def test_it_learns_in_a_distiller_and_its_ranges_follow(photos):
    student = students.chain(
        keras.layers.SeparableConv2D(6, 3), keras.layers.ReLU(), *students.head()
    )
    copy = quantization_aware(student, photos, momentum=0.5)
    before = ranges(copy)

    distiller, history = fit(copy, photos)

    assert history["loss"][-1] < history["loss"][0]
    after = ranges(copy)
    known = {"image_range", "rescaling_scaled_range", "rescaling"}
    assert {name for name, value in after.items() if value == before[name]} == known
    moved = [np.array(weight) for weight in copy.weights]
    distiller.evaluate(photos[:40].astype("float32"), np.zeros(40), verbose=0)
    for weight, value in zip(copy.weights, moved, strict=True):
        np.testing.assert_array_equal(weight, value)


@pytest.mark.slow
def test_xla_trains_it_as_a_plain_graph_does(photos):
    results = []
    for jit_compile in (False, True):
        keras.utils.set_random_seed(0)
        copy = quantization_aware(students.conv(), photos)
        fit(copy, photos, jit_compile=jit_compile, epochs=1)
        results.append(copy.get_weights())
    for plain, compiled in zip(*results, strict=True):
        # One weight on the border of two levels may fall to either side.
        np.testing.assert_allclose(compiled, plain, rtol=2e-2, atol=2e-3)


@pytest.mark.slow
def test_two_replicas_train_it():
    first, last, moved = json.loads(processes.run(WORKER).splitlines()[-1])
    assert last < first
    assert moved


def test_a_distiller_with_it_is_saved_whole(photos, tmp_path):
    copy = quantization_aware(students.conv(), photos)
    distiller, _ = fit(copy, photos, epochs=1)
    distiller.save(tmp_path / "distiller.keras")

    loaded = keras.models.load_model(tmp_path / "distiller.keras").student

    assert ranges(loaded) == ranges(copy)
    images = photos[:8].astype("float32")
    np.testing.assert_allclose(loaded(images), copy(images), rtol=1e-6, atol=1e-6)
