"""Out of memory, told in words that name what was asked for and what to lower."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kd_keras
from kd_keras import cli, memory_errors
from kd_keras.memory_errors import OutOfMemoryError, reason
from tests.conftest import sparse_crossentropy


class TooLarge(keras.layers.Layer):
    """Asks for four terabytes, which no allocator gives."""

    def call(self, x):
        size = tf.cast(2**40, tf.int64) + tf.cast(tf.reduce_sum(x) * 0, tf.int64)
        return x + tf.reduce_sum(tf.random.uniform([size])) * 0


def network(*layers):
    return keras.Sequential([keras.Input((4, 4, 1)), *layers, keras.layers.Flatten(),
                             keras.layers.Dense(3)])  # fmt: skip


@pytest.mark.parametrize("kind", ["distiller", "supervised", "evaluate", "dataset"])
def test_fit_and_evaluate_name_the_batches_and_the_tensor(kind):
    student = network(TooLarge())
    model = (
        kd_keras.Supervised(student)
        if kind == "supervised"
        else kd_keras.Distiller(network(), student, kd_keras.losses.KLDivergence(2.0))
    )
    model.compile("sgd", sparse_crossentropy())
    x, y = np.ones((12, 4, 4, 1), "float32"), np.zeros(12, "int32")
    with pytest.raises(OutOfMemoryError) as caught:
        if kind == "evaluate":
            model.evaluate(x, y, batch_size=6, verbose=0)
        elif kind == "dataset":
            data = tf.data.Dataset.from_tensor_slices((x, y)).batch(6, drop_remainder=True)
            model.fit(data, verbose=0)
        else:
            model.fit(x, y, batch_size=6, verbose=0)
    said = str(caught.value)
    for words in ("batches of shape (6, 4, 4, 1)", "(1099511627776,) and type float", "4,398,047"):
        assert words in said
    assert "Lower the batch size or the size of the images" in said


@pytest.mark.parametrize(
    ("error", "is_memory"),
    [
        (MemoryError(), True),
        (MemoryError("Unable to allocate 8.00 GiB for an array with shape (1,)"), True),
        (tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor"), True),
        (tf.errors.ResourceExhaustedError(None, None, "x; No space left on device"), False),
        (tf.errors.ResourceExhaustedError(None, None, "x; Too many open files"), False),
        (tf.errors.InternalError(None, None, "Dst tensor is not initialized."), True),
        (tf.errors.InternalError(None, None, "CUDA_ERROR_OUT_OF_MEMORY: out of memory"), True),
        (tf.errors.InternalError(None, None, "Blas GEMM launch failed"), False),
        (RuntimeError("out of memory of what happened"), False),
    ],
)
def test_what_is_want_of_memory_and_what_is_not(error, is_memory):
    assert (reason(error) is not None) == is_memory


def test_a_command_names_its_options(monkeypatch, capsys, tmp_path):
    def greedy(*_, **__):
        raise MemoryError("Unable to allocate 8.00 GiB for an array")

    monkeypatch.setattr("kd_keras.jobs.record_labels", greedy)
    arguments = ["record", "digits", "--policy", "none", "--batch-size", "4096"]
    assert cli.main([*arguments, "--output", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "not enough memory: Unable to allocate 8.00 GiB" in said
    assert "--batch-size 4096" in said and "Traceback" not in said


def test_who_knows_more_adds_what_to_do():
    with (
        pytest.raises(OutOfMemoryError, match=r"batches of 4\. Lower.*In a recipe: less\.$"),
        memory_errors.told("all", "In a recipe: less."),
        memory_errors.told("batches of 4"),
    ):
        raise MemoryError
