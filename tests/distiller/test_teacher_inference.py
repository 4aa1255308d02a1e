"""The cheap teacher teaches the same, is never stale, and is what a saved distiller asks for."""

import logging

import keras
import numpy as np
import pytest
import tensorflow as tf

import kd_keras
from kd_keras.losses import KLDivergence
from tests.conftest import sparse_crossentropy

FEATURE = ("mse", "relu", "relu")


@pytest.fixture
def make(make_net):
    def build(mode="auto", losses=None, **compiled):
        keras.utils.set_random_seed(1)
        losses = losses or [KLDivergence(2.0), keras.distillation.FeatureDistillation(*FEATURE)]
        distiller = kd_keras.Distiller(
            make_net(8, "t"), make_net(8, "s"), losses, teacher_inference=mode
        )
        distiller.compile(keras.optimizers.SGD(0.1), sparse_crossentropy(), **compiled)
        return distiller

    return build


@pytest.fixture
def log(caplog):
    caplog.set_level(logging.INFO, "kd_keras")
    return caplog


def inference_of(distiller):
    return distiller._parts.teacher.inference


def train(distiller, images, **kwargs):
    x, y = images
    options = {"batch_size": 8, "epochs": 2, "shuffle": False, "verbose": 0, **kwargs}
    return distiller.fit(x, y, validation_data=(x, y), **options).history


def assert_close(found, expected, rtol=1e-5):
    assert set(found) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=rtol, err_msg=name)


@pytest.mark.slow
def test_the_student_learns_what_it_learns_from_the_keras_model(make, images, log):
    expected = train(make("keras"), images)
    assert not log.records
    distiller = make()
    assert_close(train(distiller, images), expected)
    assert "on rows of x" in log.text
    compiled = make(jit_compile=True)
    assert_close(train(compiled, images), expected, rtol=1e-4)
    assert len(log.records) == 2  # once each
    for each in (distiller, compiled):
        assert inference_of(each).is_frozen


@pytest.mark.slow
def test_other_teacher_weights_are_never_answered_with_old_ones(make, images, log):
    """Between a fit, an evaluation, a call on one batch and a second fit."""
    x, y = images
    results = []
    for mode in ("auto", "keras"):
        distiller = make(mode, KLDivergence(2.0))
        fit = {"batch_size": 20, "shuffle": False, "verbose": 0}
        values = [distiller.fit(x, y, **fit).history["distillation_loss"][0]]
        teacher = distiller.teacher
        teacher.set_weights([1.5 * weight for weight in teacher.get_weights()])
        values.append(distiller.evaluate(x, y, verbose=0, return_dict=True)["distillation_loss"])
        teacher.layers[-1].bias.assign([2.0, 0.0, 1.0])
        values.append(distiller.train_on_batch(x, y, return_dict=True)["distillation_loss"])
        teacher.layers[-1].bias.assign([0.0, 1.0, 0.0])
        values.append(distiller.fit(x, y, **fit).history["distillation_loss"][0])
        results.append(values)
        assert inference_of(distiller).is_frozen == (mode == "auto")
    np.testing.assert_allclose(*results, rtol=1e-4)
    assert np.abs(np.diff(results[0])).min() > 1e-2  # the changes change something
    assert log.text.count("made anew") == 3


class MovingTeacher(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        bias = self.model.teacher.layers[-1].bias
        bias.assign_add([0.5, 0.0, 0.0])


def test_a_teacher_that_moves_says_so_and_a_wrong_declaration_is_caught(make, images, log):
    kl = KLDivergence(2.0)
    moving = make("keras", kl)
    train(moving, images, callbacks=[MovingTeacher()])
    assert not log.records
    before = moving.evaluate(*images, verbose=0)
    moving.teacher.layers[-1].bias.assign_add([5.0, 0.0, 0.0])
    assert moving.evaluate(*images, verbose=0) != before
    # Declared to stand still, it is found at the start of the next pass, here the validation.
    train(make("auto", kl), images, callbacks=[MovingTeacher()])
    assert "moved while it taught" in log.text
    assert "inference='keras'" in log.text
    assert log.records[-1].levelno == logging.WARNING


@pytest.mark.slow
def test_a_saved_distiller_remembers_and_freezes_the_weights_that_it_loaded(make, images, tmp_path):
    distiller = make("bfloat16")
    train(distiller, images)
    distiller.save(tmp_path / "distiller.keras")
    loaded = keras.models.load_model(tmp_path / "distiller.keras")
    assert loaded.teacher_inference == "bfloat16"
    assert loaded.evaluate(*images, verbose=0) == distiller.evaluate(*images, verbose=0)
    assert inference_of(loaded).is_frozen
    config = {k: v for k, v in distiller.get_config().items() if k != "teacher_inference"}
    assert kd_keras.Distiller.from_config(config).teacher_inference == "auto"  # an older file


@pytest.mark.parametrize("mode", ["float32", None, True])
def test_other_modes_are_refused(make, mode):
    with pytest.raises(ValueError, match=r"`teacher_inference` must be 'auto'.*Received"):
        make(mode)


def test_the_step_runs_the_teacher_once_and_never_returns_to_python(make, images):
    x, y = images
    distiller = make()
    distiller.train_on_batch(x, y)  # builds
    graph = tf.function(distiller.train_step).get_concrete_function((x, y)).graph.as_graph_def()
    bodies = [graph.node, *(function.node_def for function in graph.library.function)]
    kinds = [node.op for body in bodies for node in body]
    assert not [kind for kind in kinds if "PyFunc" in kind]
    called = [node.attr["f"].func.name for node in graph.node if "f" in node.attr]
    assert sum("constant_network" in name for name in called) == 1


@pytest.mark.parametrize(
    "compiled",
    [{}, pytest.param({"jit_compile": True}, marks=pytest.mark.slow), {"steps_per_execution": 2}],
    ids=["", "xla", "two"],
)
def test_nothing_is_traced_again_after_the_first_step(make_net, images, compiled):
    traced, answers = [], []
    keras.utils.set_random_seed(1)

    def augmentation(x):
        traced.append(x.shape)
        return x

    distiller = kd_keras.Distiller(
        make_net(4, "t"), make_net(4, "s"), KLDivergence(2.0), augmentation=augmentation
    )
    distiller.compile("sgd", sparse_crossentropy(), **compiled)
    x, y = images
    inference = inference_of(distiller)
    infer = inference._network
    inference._network = lambda *a, **k: answers.append(1) or infer(*a, **k)
    history = distiller.fit(x, y, batch_size=16, epochs=2, validation_data=(x, y), verbose=0)
    before = len(traced), len(answers)
    distiller.fit(x, y, batch_size=16, epochs=1, verbose=0)  # 16, 16 and a last batch of 8
    distiller.evaluate(x, y, batch_size=16, verbose=0)
    assert (len(traced), len(answers)) == before
    # The augmentation once for the step, twice to see whether two traces are alike; the teacher
    # once for the graph, once to compare.
    assert before == (3, 2)
    assert np.isfinite(history.history["loss"]).all()
