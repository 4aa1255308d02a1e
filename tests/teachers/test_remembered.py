"""Validation asks a frozen teacher once about each example."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kd_keras
from kd_keras.teachers.remembered import Remembered


def networks():
    teacher = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    student = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    return teacher, student


def counted(x):
    tf.numpy_function(_note, [tf.shape(x)[0]], [])
    return x @ tf.ones((4, 3))


SEEN = []


def _note(rows):
    SEEN.append(int(rows))


def batches(x, size):
    return [x[start : start + size] for start in range(0, len(x), size)]


@pytest.fixture
def rows():
    SEEN.clear()
    return np.random.default_rng(0).normal(size=(10, 4)).astype("float32")


def test_each_example_is_asked_about_once_however_batches_are_cut_or_ordered(rows):
    known = Remembered(counted, tf.TensorSpec((None, 4), tf.float32))
    ask = tf.function(known)
    for order in (
        np.arange(10),
        np.arange(10)[::-1].copy(),
        np.random.default_rng(1).permutation(10),
    ):
        for size in (4, 3, 10):
            for part in batches(rows[order], size):
                np.testing.assert_allclose(ask(part), part @ np.ones((4, 3)), rtol=1e-5)
    assert SEEN == [4, 4, 2]


def test_other_data_get_answers_of_their_own(rows):
    ask = tf.function(Remembered(counted, tf.TensorSpec((None, 4), tf.float32)))
    ask(rows)
    changed = rows.copy()
    changed[3, 2] = np.nextafter(changed[3, 2], 9.0)
    np.testing.assert_allclose(ask(changed), changed @ np.ones((4, 3)), rtol=1e-5)
    assert SEEN == [10, 10]


def test_what_does_not_fit_is_asked_about_each_time(rows, monkeypatch):
    monkeypatch.setattr("kd_keras.teachers.remembered._BYTES", 6 * (8 + 4 * 3))
    ask = tf.function(Remembered(counted, tf.TensorSpec((None, 4), tf.float32)))
    for _ in range(3):
        for part in batches(rows, 5):
            np.testing.assert_allclose(ask(part), part @ np.ones((4, 3)), rtol=1e-5)
    assert SEEN == [5, 5, 5, 5]  # the first half is known, the second comes again


def test_fit_and_evaluate_log_what_they_would_without_and_a_changed_teacher_is_asked_anew(rows):
    def logs(remembers, monkeypatch):
        keras.utils.set_random_seed(0)
        teacher, student = networks()
        with monkeypatch.context() as patch:
            if not remembers:
                patch.setattr("kd_keras.teachers.frozen.can_be_remembered", lambda x: False)
            distiller = kd_keras.Distiller(teacher, student, kd_keras.losses.KLDivergence(2.0))
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            distiller.compile(keras.optimizers.SGD(0.1), loss, metrics=["accuracy"])
            y = np.arange(10) % 3
            data = (rows, y)
            history = distiller.fit(*data, validation_data=data, epochs=3, batch_size=4, verbose=0)
            teacher.set_weights([weights * 2 for weights in teacher.get_weights()])
            again = distiller.evaluate(*data, batch_size=4, verbose=0, return_dict=True)
        return history.history, again

    with pytest.MonkeyPatch.context() as monkeypatch:
        plain, plainly_again = logs(False, monkeypatch)
        mine, mine_again = logs(True, monkeypatch)
    assert mine == plain
    assert mine_again == plainly_again
    assert mine_again["distillation_loss"] != mine["val_distillation_loss"][-1]
