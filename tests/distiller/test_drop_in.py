"""What users of `keras.distillation.Distiller` rely on holds for this one too."""

import json
import warnings

import keras
import numpy as np
import pytest

import kd_keras
from kd_keras.losses import KLDivergence


class Subclassed(keras.Model):
    """A subclassed classifier without a graph."""

    def __init__(self, width=8, **kwargs):
        super().__init__(**kwargs)
        self.hidden = keras.layers.Dense(width, activation="relu")
        self.logits = keras.layers.Dense(4)

    def call(self, inputs, training=None):
        return self.logits(self.hidden(inputs))


def sequential(width=8, last="linear"):
    return keras.Sequential(
        [keras.Input((5,)), keras.layers.Dense(width), keras.layers.Dense(4, activation=last)]
    )


KERAS_KL = keras.losses.KLDivergence()


@pytest.fixture
def data():
    random = np.random.default_rng(0)
    return random.normal(size=(20, 5)).astype("float32"), random.integers(0, 4, 20)


def crossentropy():
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def test_positional_arguments_and_attributes_are_those_of_keras():
    teacher, student = sequential(16), sequential()
    loss = keras.distillation.LogitsDistillation(2.0, loss=KERAS_KL)
    distiller = kd_keras.Distiller(teacher, student, [loss], [0.7], 0.25, "mine")
    assert distiller.teacher is teacher
    assert distiller.student is student
    assert distiller.distillation_losses == [loss]
    assert distiller.distillation_losses[0].temperature == 2.0
    assert distiller.distillation_loss_weights == [0.7]
    assert distiller.student_loss_weight == 0.25
    assert distiller.name == "mine"
    assert isinstance(distiller.distillation_losses, list)


def test_a_single_loss_becomes_a_list_with_weight_one():
    distiller = kd_keras.Distiller(sequential(), sequential(), KLDivergence())
    assert len(distiller.distillation_losses) == 1
    assert distiller.distillation_loss_weights == [1.0]
    assert distiller.student_loss_weight == 0.5
    assert distiller.name == "distiller"


def test_the_teacher_is_frozen_and_the_student_is_not():
    teacher, student = sequential(), sequential()
    assert teacher.trainable
    kd_keras.Distiller(teacher, student, KLDivergence())
    assert not teacher.trainable
    assert student.trainable


def test_calling_and_predicting_give_the_students_outputs(data):
    x, _ = data
    student = sequential()
    distiller = kd_keras.Distiller(sequential(), student, KLDivergence())
    np.testing.assert_array_equal(distiller(x), student(x))
    predictions = distiller.predict(x, verbose=0)
    np.testing.assert_allclose(predictions, student(x), rtol=1e-5)


def test_the_teacher_may_be_a_layer_and_neither_needs_a_training_argument(data):
    class Plain(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(4)

        def call(self, inputs):
            return self.dense(inputs)

    teacher = keras.layers.Dense(4)
    distiller = kd_keras.Distiller(teacher, Plain(), KLDivergence(2.0))
    distiller.compile("sgd", crossentropy())
    history = distiller.fit(*data, epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert not teacher.trainable
    assert distiller.predict(data[0], verbose=0).shape == (20, 4)


@pytest.mark.parametrize("make", [sequential, Subclassed], ids=["sequential", "subclassed"])
def test_fit_evaluate_and_logs(make, data):
    x, y = data
    distiller = kd_keras.Distiller(make(16), make(), KLDivergence(2.0))
    distiller.compile(optimizer="adam", loss=crossentropy(), metrics=["accuracy"])
    history = distiller.fit(x, y, validation_data=(x, y), epochs=2, verbose=0).history
    names = {"loss", "student_loss", "distillation_loss", "total_loss", "agreement", "accuracy"}
    assert set(history) == names | {f"val_{name}" for name in names} | {"teacher_accuracy"}
    assert all(np.isfinite(values).all() for values in history.values())
    assert history["loss"] == history["total_loss"]
    results = distiller.evaluate(x, y, verbose=0)
    assert isinstance(results, list)
    assert np.isfinite(results).all()


def test_several_losses_are_logged_by_name_too(data):
    losses = [KLDivergence(3.0), KLDivergence(2.0), kd_keras.losses.LogitsMSE()]
    distiller = kd_keras.Distiller(sequential(), sequential(), losses, [0.7, 0.3, 2.0])
    distiller.compile("sgd", crossentropy())
    logs = distiller.evaluate(*data, verbose=0, return_dict=True)
    assert {"kl_divergence", "kl_divergence_1", "logits_mse"} <= set(logs)
    weighted = 0.7 * logs["kl_divergence"] + 0.3 * logs["kl_divergence_1"] + 2 * logs["logits_mse"]
    assert logs["distillation_loss"] == pytest.approx(weighted, rel=1e-5)


def test_upstream_style_compile_warns_of_the_loss_that_does_not_train(data):
    """keras-team's own tests compile this way on logits, so it must work, and say what is wrong."""
    distiller = kd_keras.Distiller(sequential(), sequential(), KLDivergence())
    with pytest.warns(UserWarning, match=r"SparseCategoricalCrossentropy\(from_logits=True\)"):
        distiller.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
    assert np.isfinite(distiller.fit(*data, verbose=0).history["loss"]).all()


def test_subclassed_logits_are_recognised_when_they_are_built(data):
    distiller = kd_keras.Distiller(Subclassed(), Subclassed(), KLDivergence())
    distiller.compile("adam", "sparse_categorical_crossentropy")
    with pytest.warns(UserWarning, match=r"SparseCategoricalCrossentropy\(from_logits=True\)"):
        distiller.fit(*data, verbose=0)


@pytest.mark.parametrize(
    "loss",
    [
        crossentropy(),
        keras.losses.CategoricalCrossentropy(from_logits=True),
        "mse",
    ],
)
def test_right_losses_do_not_warn(loss):
    distiller = kd_keras.Distiller(sequential(), sequential(), KLDivergence())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        distiller.compile("adam", loss)


def test_a_softmax_student_with_a_probability_loss_does_not_warn():
    feature = keras.distillation.FeatureDistillation("mse")
    distiller = kd_keras.Distiller(sequential(), sequential(last="softmax"), feature)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        distiller.compile("adam", "sparse_categorical_crossentropy")


def test_the_broken_default_of_keras_gets_a_warning_with_the_right_line():
    with pytest.warns(UserWarning, match=r"kd_keras.losses.KLDivergence\(temperature=3.0\)"):
        kd_keras.Distiller(sequential(), sequential(), keras.distillation.LogitsDistillation())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        right = keras.distillation.LogitsDistillation(loss=keras.losses.KLDivergence())
        kd_keras.Distiller(sequential(), sequential(), right)


def test_student_loss_weight_zero_and_one_train(data):
    for weight in (0.0, 1.0):
        distiller = kd_keras.Distiller(
            sequential(), sequential(), KLDivergence(), student_loss_weight=weight
        )
        distiller.compile("sgd", crossentropy())
        logs = distiller.evaluate(*data, verbose=0, return_dict=True)
        part = "student_loss" if weight else "distillation_loss"
        assert logs["loss"] == pytest.approx(logs[part], rel=1e-6)
        distiller.fit(*data, verbose=0)


def test_config_is_json_and_rebuilds(data):
    loss = keras.distillation.LogitsDistillation(temperature=3.0, loss=KERAS_KL)
    original = kd_keras.Distiller(sequential(), sequential(), loss, student_loss_weight=0.7)
    config = original.get_config()
    keys = ("teacher", "student", "distillation_losses", "distillation_loss_weights")
    assert all(key in config for key in keys)
    json.dumps(config)
    again = kd_keras.Distiller.from_config(config)
    assert again.student_loss_weight == 0.7
    assert again.distillation_losses[0].temperature == 3.0
    assert again(data[0]).shape == (20, 4)


def test_a_config_of_keras_own_distiller_is_read(data):
    theirs = keras.distillation.Distiller(
        sequential(), sequential(), KLDivergence(5.0), student_loss_weight=0.3, name="theirs"
    )
    ours = kd_keras.Distiller.from_config(theirs.get_config())
    assert ours.student_loss_weight == 0.3
    assert ours.name == "theirs"
    assert ours.distillation_losses[0].temperature == 5.0
    assert ours(data[0]).shape == (20, 4)


def test_losses_of_keras_give_the_same_numbers_in_both_distillers(data):
    teacher, student = sequential(16), sequential()
    losses = [
        keras.distillation.LogitsDistillation(2.0, loss=keras.losses.KLDivergence()),
        keras.distillation.FeatureDistillation("mse"),
    ]
    logs = []
    for kind in (kd_keras.Distiller, keras.distillation.Distiller):
        distiller = kind(teacher, student, losses, [1.0, 0.5], 0.3)
        distiller.compile("sgd", crossentropy())
        logs.append(distiller.evaluate(*data, batch_size=20, verbose=0, return_dict=True))
    for name in ("student_loss", "distillation_loss", "total_loss"):
        assert logs[0][name] == pytest.approx(logs[1][name], rel=1e-5)


def test_compute_loss_is_what_the_step_minimises(data):
    x, y = data
    distiller = kd_keras.Distiller(sequential(), sequential(), KLDivergence())
    distiller.compile("sgd", crossentropy())
    value = float(distiller.compute_loss(x, y))
    assert value == pytest.approx(float(distiller.compute_loss(x, y, distiller.student(x))))
    logs = distiller.evaluate(x, y, batch_size=20, verbose=0, return_dict=True)
    assert logs["loss"] == pytest.approx(value, rel=1e-6)
