"""T.stddev against the formula in NumPy, and what must hold for any teacher."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kd_keras.evaluate import teacher_stddev
from kd_keras.evaluate.view_quality import BatchMeans, window_stddev

IMAGES = np.random.default_rng(0).normal(size=(60, 4, 4, 1)).astype("float32")


@pytest.fixture(scope="module")
def teacher():
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(3, name="logits")]
    )


def batches(images=IMAGES, size=6):
    return tf.data.Dataset.from_tensor_slices((images, np.zeros(len(images)))).batch(size)


def shifted(images, step):
    return images + tf.cast(step % 7, images.dtype) / 3


def softmax(teacher, images):
    kernel, bias = (np.asarray(w, "float64") for w in teacher.weights)
    odds = np.exp(images.reshape(len(images), -1) @ kernel + bias)
    return odds / odds.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(("window", "windows", "size"), [(2, 10, 6), (4, 5, 6), (10, 2, 6)])
def test_the_value_is_the_formula_over_all_examples_of_a_window(teacher, window, windows, size):
    got = teacher_stddev(teacher, batches(size=size), shifted, window=window, windows=windows)

    means = []
    for k in range(windows):
        parts = []
        for step in range(k * window // 2, (k + 1) * window // 2):
            images = IMAGES[step * size : (step + 1) * size]
            parts += [softmax(teacher, images), softmax(teacher, images + np.float32(step % 7 / 3))]
        means.append(np.concatenate(parts).mean(axis=0))
    expected = np.stack(means).std(axis=0, ddof=1).mean()

    assert expected > 1e-3
    assert got == pytest.approx(expected, rel=1e-5)


def test_a_smaller_batch_counts_by_its_examples():
    def means(values, examples):
        return BatchMeans(np.array([[v, 1 - v] for v in values]), np.array(examples))

    data = means([0.2, 0.8, 0.5, 0.5], [3, 1, 2, 2])
    first = (2 * 3 * 0.2 + 2 * 1 * 0.8) / 8
    expected = np.std([first, 0.5], ddof=1)
    assert window_stddev(data, data, window=4) == pytest.approx(expected)


def test_identical_batches_give_zero(teacher):
    same = batches().take(1).repeat()
    assert teacher_stddev(teacher, same, lambda images, step: images, windows=3) == 0.0


def test_the_seed_chooses_the_views_and_nothing_else_does(teacher):
    def value(seed):
        return teacher_stddev(teacher, batches(), shifted, window=2, windows=10, seed=seed)

    assert value(3) == value(3)
    assert value(3) != value(4)


def test_constant_views_halve_the_spread_of_the_data(teacher):
    """A view that says the same in every window leaves half of each mean without spread."""
    plain = teacher_stddev(teacher, batches(), lambda images, step: images, window=2, windows=10)
    grey = teacher_stddev(
        teacher, batches(), lambda images, step: tf.zeros_like(images), window=2, windows=10
    )
    assert grey == pytest.approx(plain / 2, rel=1e-5)


def test_progress_counts_every_batch_of_the_teacher(teacher):
    seen = []
    teacher_stddev(teacher, batches(), shifted, window=2, windows=3, progress=seen.append)
    assert seen == [1, 2, 3, 4, 5, 6]


def test_bytes_go_to_a_teacher_of_floats_and_the_teacher_does_not_move():
    teacher = keras.Sequential(
        [keras.Input((4, 4, 1)), keras.layers.BatchNormalization(), keras.layers.Flatten()]
    )
    before = [np.array(weight) for weight in teacher.weights]
    images = np.arange(160).reshape(10, 4, 4, 1).astype("uint8")
    assert teacher_stddev(teacher, batches(images, 1), shifted_bytes, window=2, windows=10) > 0
    for weight, value in zip(teacher.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)


def shifted_bytes(images, step):
    return images + tf.cast(step, tf.uint8)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"window": 3}, "`window` must be even.*window=3"),
        ({"window": 0}, "`window` must be an integer >= 2.*window=0"),
        ({"windows": 1}, "`windows` must be an integer >= 2.*windows=1"),
        ({"seed": -1}, "`seed` must be an integer from 0 to 524287.*seed=-1"),
        ({"windows": 40}, "must give 200 batches.*10 batches.*repeat"),
    ],
)
def test_what_is_out_of_range_is_refused_with_the_remedy(teacher, arguments, message):
    with pytest.raises(ValueError, match=message):
        teacher_stddev(teacher, batches(), shifted, **arguments)


def test_probabilities_and_several_outputs_are_refused(teacher):
    softmaxed = keras.Sequential([teacher, keras.layers.Softmax()])
    with pytest.raises(ValueError, match="must return logits.*Take the last activation off"):
        teacher_stddev(softmaxed, batches(), shifted, window=2, windows=2)
    inputs = keras.Input((4, 4, 1))
    double = keras.Model(inputs, [teacher(inputs), teacher(inputs)])
    with pytest.raises(ValueError, match=r"one output of shape \(batch, classes\)"):
        teacher_stddev(double, batches(), shifted, window=2, windows=2)
