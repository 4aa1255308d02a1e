"""Augmentations that ask the teacher, in the step."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kd_keras
from kd_keras.augment import Feedback, GaussianNoise, Pick, Policy, cutmix
from kd_keras.losses import KLDivergence
from kd_keras.training.batch import Batch
from kd_keras.training.supervised import Supervised
from tests.conftest import sparse_crossentropy


def noise(seed=0):
    return Policy([GaussianNoise(0.2)], seed=seed)


def feedback(seed=0, **options):
    changes = {
        "none": None,
        "noise": GaussianNoise(0.3, dtype="float32"),
        "black": tf.zeros_like,
    }
    return Feedback(changes, before=[], seed=seed, **options)


def distiller(make_net, augmentation, losses=None, **options):
    keras.utils.set_random_seed(1)
    model = kd_keras.Distiller(
        make_net(4, "t"), make_net(4, "s"), losses or KLDivergence(2.0), augmentation=augmentation
    )
    model.compile("sgd", sparse_crossentropy(), **options)
    return model


class CountingTeacher(keras.Model):
    """Counts the images that pass it."""

    def __init__(self, network):
        super().__init__()
        self.network = network
        self.count = self.add_weight(shape=(), trainable=False, name="count")

    def call(self, x, training=None):
        self.count.assign_add(tf.cast(tf.shape(x)[0], tf.float32))
        return self.network(x, training=training)


@pytest.mark.parametrize("pool", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_picking_costs_one_teacher_forward_for_each_view_of_the_pool(make_net, images, pool):
    teacher = CountingTeacher(make_net(4, "t"))
    model = kd_keras.Distiller(
        teacher, make_net(4, "s"), KLDivergence(2.0), augmentation=Pick(cutmix(), pool)
    )
    model.compile("sgd", sparse_crossentropy(), jit_compile=False)
    model.fit(*images, batch_size=10, verbose=0)
    before = float(teacher.count)
    model.fit(*images, batch_size=10, verbose=0)
    assert float(teacher.count) - before == pool * len(images[0])


def test_the_step_on_picked_views_is_the_step_on_those_views(make_net, images):
    """The picked views given to a plain Distiller give the same weights."""
    x, y = images[0][:10], images[1][:10]
    picking = distiller(make_net, Pick(noise(seed=4)))
    chosen = Pick(noise(seed=4)).augment_with(
        kd_keras.augment.adapter.Batch(tf.constant(x), tf.constant(y)),
        0,
        lambda views: picking.teacher(views, training=False),
    )
    plain = distiller(make_net, None)
    picking.fit(x, y, batch_size=10, shuffle=False, verbose=0)
    plain.fit(chosen.x, chosen.y, batch_size=10, shuffle=False, verbose=0)
    for mine, theirs in zip(
        picking.student.get_weights(), plain.student.get_weights(), strict=True
    ):
        np.testing.assert_allclose(mine, theirs, atol=1e-6)


def test_losses_with_taps_pick_too(make_net, images):
    tapped = [KLDivergence(2.0), keras.distillation.FeatureDistillation("mse", "conv", "conv")]
    history = distiller(make_net, Pick(noise()), tapped).fit(*images, verbose=0).history
    assert np.isfinite(history["loss"]).all()


@pytest.mark.slow
@pytest.mark.parametrize("make", [lambda: Pick(cutmix(seed=1)), lambda: feedback(seed=1)])
def test_the_compiled_core_equals_the_plain_core(make_net, images, make):
    results = []
    for jit in (False, True):
        model = distiller(make_net, make(), jit_compile=jit)
        history = model.fit(*images, batch_size=10, epochs=2, shuffle=False, verbose=0).history
        results.append(history)
    for name, values in results[0].items():
        np.testing.assert_allclose(values, results[1][name], rtol=1e-4, err_msg=name)


def test_the_policy_follows_the_measured_gap(make_net, images):
    """What it learns is the mean KL on each transform's views, recomputed by hand."""
    model = distiller(make_net, feedback(rate=1.0))
    x, y = images[0][:20], images[1][:20]
    views = model.augmentation.augment(Batch(tf.constant(x)), 0)
    teacher = tf.nn.log_softmax(model.teacher(views.x, training=False))
    # The step runs the student in training mode; here it has seen nothing yet.
    student = tf.nn.log_softmax(model.student(views.x, training=True))
    gaps = tf.reduce_sum(tf.exp(teacher) * (teacher - student), axis=-1).numpy()
    model = distiller(make_net, feedback(rate=1.0))
    model.fit(x, y, batch_size=20, shuffle=False, verbose=0)
    choice = views.extras["choice"].numpy()
    expected = [gaps[choice == k].mean() for k in range(3)]
    np.testing.assert_allclose(model.augmentation.state.gaps, expected, rtol=1e-4)


def test_the_probabilities_are_logged_for_training_alone(make_net, images):
    model = distiller(make_net, feedback())
    logs = model.fit(*images, epochs=2, validation_data=images, verbose=0).history
    names = [f"feedback_{name}" for name in ("none", "noise", "black")]
    assert np.sum([logs[name] for name in names], axis=0) == pytest.approx([1.0, 1.0], abs=1e-5)
    assert not any(name.startswith("val_feedback") for name in logs)
    assert not any(
        name.startswith("feedback") for name in model.evaluate(*images, verbose=0, return_dict=True)
    )


@pytest.mark.slow
def test_what_it_learnt_is_saved_and_the_next_epoch_is_that_of_the_unbroken_run(
    make_net, images, tmp_path
):
    changes = {"none": None, "noise": GaussianNoise(0.3, dtype="float32")}
    model = distiller(make_net, Feedback(changes, before=[], seed=3))
    model.fit(*images, batch_size=10, shuffle=False, verbose=0)
    model.save(tmp_path / "distiller.keras")
    loaded = keras.models.load_model(tmp_path / "distiller.keras")
    np.testing.assert_array_equal(loaded.augmentation.state.gaps, model.augmentation.state.gaps)
    assert float(loaded.augmentation.state.gaps[0]) != 1.0
    histories = [
        m.fit(*images, batch_size=10, shuffle=False, verbose=0).history for m in (model, loaded)
    ]
    assert histories[0] == histories[1]


def test_its_weights_are_not_trained_and_do_not_leave_with_the_student(make_net, images):
    model = distiller(make_net, feedback())
    state = {id(variable) for variable in model.adaptation_variables}
    assert len(state) == 2
    assert not state & {id(v) for v in model.trainable_variables}
    assert not state & {id(v) for v in model.student.variables}


@pytest.mark.parametrize("augmentation", [Pick(cutmix()), feedback()])
def test_a_network_alone_cannot_use_them(make_net, augmentation):
    with pytest.raises(ValueError, match="asks a teacher, and here is none"):
        Supervised(make_net(), augmentation)
