"""Loops that TensorFlow Lite's calibrator does not stand: it may end its process, and not ours."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from kd_keras import export
from kd_keras.export import conversion
from kd_keras.export.loops import CrashError, has_loop
from kd_keras.export.signature import MAIN, Signature
from kd_keras.export.student import student_inputs, unrolled

STEPS = 4
SEQUENCES = np.random.default_rng(0).normal(0, 1, (120, STEPS, 3)).astype("float32")


class Cell(keras.layers.Layer):
    """A recurrent cell written by hand."""

    state_size = 5

    def build(self, shape):
        self.inward = self.add_weight(shape=(shape[-1], 5))
        self.onward = self.add_weight(shape=(5, 5))

    def call(self, inputs, states):
        state = keras.ops.tanh(inputs @ self.inward + states[0] @ self.onward)
        return state, [state]


class Loop(keras.layers.Layer):
    """A recurrence whose loop is TensorFlow's, or Python's."""

    def __init__(self, written_out):
        super().__init__()
        self.written_out = written_out

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], shape[-1]))

    def call(self, inputs):
        def step(index, state):
            return index + 1, keras.ops.tanh(state @ self.kernel + inputs[:, index])

        if self.written_out:
            state = inputs[:, 0]
            for index in range(STEPS):
                _, state = step(index, state)
            return state
        first = tf.constant(0), inputs[:, 0]
        return tf.while_loop(lambda index, _: index < STEPS, step, first)[1]


class Hidden(keras.Model):
    """A subclassed model whose loop AutoGraph makes, in a branch."""

    def __init__(self):
        super().__init__()
        self.head = keras.layers.Dense(3)

    @tf.function
    def call(self, inputs):
        state = inputs[:, 0]
        if tf.reduce_sum(state) > 0:
            for index in tf.range(STEPS):
                state = tf.tanh(state + inputs[:, index])
        return self.head(state)


def scanned(inputs):
    return keras.ops.scan(lambda state, x: (state + x, x), inputs[0], inputs)[0]


def network(*layers):
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((STEPS, 3)), *layers, keras.layers.Dense(3)])


def looping(written_out=False):
    return network(Loop(written_out))


def exported(student, path, preset="int8"):
    return export.to_tflite(student, path, preset, SEQUENCES, input_range=None, min_agreement=0.9)


def test_loops_are_told_as_the_layers_are_set():
    def signature(student):
        return Signature(MAIN, student, student_inputs(student, 1))

    recurrent = network(keras.layers.RNN(Cell()))
    traced = signature(recurrent)
    assert has_loop(traced)
    with unrolled(recurrent):
        assert not has_loop(traced)
    assert has_loop(signature(looping()))
    assert not has_loop(signature(looping(written_out=True)))
    hidden = Hidden()
    hidden(SEQUENCES[:2])
    assert has_loop(signature(hidden))
    assert has_loop(signature(network(keras.layers.Lambda(scanned))))


def test_a_cell_written_by_hand_is_written_out(tmp_path):
    student = network(keras.layers.RNN(Cell(), name="recurrent"))

    result = exported(student, tmp_path / "s.tflite")

    assert result.agreement >= 0.9
    assert student.get_layer("recurrent").unroll is False


@pytest.mark.slow  # a process that starts TensorFlow
def test_a_loop_that_ends_the_calibrator_is_refused_and_the_remedies_work(tmp_path):
    student = looping()

    with pytest.raises(ValueError, match=r"cannot calibrate the loops .*'int8': .*Write out") as e:
        exported(student, tmp_path / "s.tflite")
    assert "ended its process with -11" in str(e.value)
    assert list(tmp_path.iterdir()) == []

    copy = looping(written_out=True)
    copy.set_weights(student.get_weights())
    exported(copy, tmp_path / "s.tflite")
    exported(student, tmp_path / "s.tflite", "float16")


def test_what_the_other_process_says_is_what_is_said(monkeypatch, tmp_path):
    def answers(error):
        def apart(*arguments):
            raise error

        monkeypatch.setattr(conversion, "converted_apart", apart)
        with pytest.raises(ValueError) as caught:
            exported(looping(), tmp_path / "s.tflite")
        return str(caught.value)

    assert "with -6. Write out" in answers(CrashError("its calibrator ended its process with -6"))
    said = RuntimeError("Max and min for dynamic tensors should be recorded during calibration: x")
    assert "it said: Max and min" in answers(said)
    assert "could not convert" in answers(RuntimeError("no such kernel\nat line 3"))
