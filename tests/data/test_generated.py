"""Generated batches as a dataset: repeatable, endless, and fit for training on a teacher alone."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

import kd_keras
from kd_keras.data import generated
from kd_keras.losses import KLDivergence
from tests.generators import conditional, unconditional


def first(dataset, count=3):
    return list(itertools.islice(dataset.as_numpy_iterator(), count))


def test_batches_are_endless_images_in_the_range_and_dtype_of_the_data():
    dataset = generated(unconditional(), 16, generator_range=(-1, 1))
    assert dataset.cardinality() == tf.data.INFINITE_CARDINALITY
    assert dataset.element_spec == tf.TensorSpec((16, 6, 6, 1), tf.uint8)
    images = first(dataset, 1)[0]
    assert images.dtype == np.uint8 and 50 < images.mean() < 200
    floats = generated(unconditional(), 16, value_range=(0, 1), dtype="float32")
    values = first(floats, 1)[0]
    assert values.dtype == np.float32 and 0 <= values.min() < values.max() <= 1


def test_a_batch_is_a_function_of_seed_and_step_alone():
    model = unconditional()
    whole = first(generated(model, 8, seed=1), 4)
    again = first(generated(model, 8, seed=1, first_step=2), 2)
    np.testing.assert_array_equal(whole[2:], again)
    assert not np.array_equal(whole[0], whole[1])
    assert not np.array_equal(whole[0], first(generated(model, 8, seed=2), 1)[0])


def test_a_conditional_generator_gives_the_classes_it_was_asked_for():
    images, labels = first(generated(conditional(5), 400, num_classes=5), 1)[0]
    assert labels.dtype == np.int64
    assert np.bincount(labels, minlength=5).min() > 40
    shades = np.round((np.tanh(0.2 * labels) + 1) * 127.5)
    np.testing.assert_allclose(images[:, 0, 0, 0], shades, atol=1)


def test_a_student_learns_from_the_teacher_on_generated_images_alone(make_net):
    distiller = kd_keras.Distiller(
        make_net(4, "t"), make_net(4, "s"), KLDivergence(2.0), student_loss_weight=0
    )
    distiller.compile("adam")
    history = distiller.fit(
        generated(unconditional(), 32), steps_per_epoch=20, epochs=3, verbose=0
    ).history
    assert history["distillation_loss"][-1] < history["distillation_loss"][0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "`batch_size` must be an integer from 1.*batch_size=0"),
        ({"first_step": -1}, "`first_step` must be an integer from 0.*first_step=-1"),
        ({"seed": 0.5}, "`seed` must be an integer.*seed=0.5"),
        ({"dtype": "string"}, "`dtype` must be one of numbers.*'string'"),
        ({"num_classes": 4}, "Leave `num_classes` out"),
    ],
)
def test_what_is_wrong_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        generated(unconditional(), **arguments)
