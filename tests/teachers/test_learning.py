"""A teacher that learns beside its student: as a loop by hand; saved, resumed, refused."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kd_keras
from kd_keras.losses import Hint, KLDivergence
from kd_keras.teachers import Ensemble, Learning
from tests.conftest import sparse_crossentropy


def network(width, name, dropout=0.0):
    """With regularisers and batch statistics: what a teacher in training has and a frozen has not.

    The same weights each time.
    """
    keras.utils.set_random_seed(width)
    return keras.Sequential(
        [
            keras.Input((5,)),
            keras.layers.Dense(width, use_bias=False, kernel_regularizer="l2", name="hidden"),
            keras.layers.BatchNormalization(momentum=0.5),
            keras.layers.Dropout(dropout, seed=1),
            keras.layers.Dense(3, name="logits"),
        ],
        name=name,
    )


def learning(model, **options):
    return Learning(
        model, keras.optimizers.SGD(0.2, momentum=0.9), sparse_crossentropy(), **options
    )


def distiller_of(teacher, student, losses=None, **options):
    return kd_keras.Distiller(
        teacher, student, losses or KLDivergence(2.0), student_loss_weight=0.3, **options
    )


def compiled(model, **options):
    model.compile(keras.optimizers.Adam(0.02), sparse_crossentropy(), **options)
    return model


def weights_alike(one, other, rtol=1e-4):
    for found, expected in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(found, expected, rtol=rtol, atol=1e-6)


def test_both_learn_as_in_a_loop_by_hand(rows):
    teacher, student = network(6, "teacher"), network(3, "student")
    logs = compiled(distiller_of(learning(teacher), student)).fit(
        *rows, batch_size=4, epochs=2, shuffle=False, verbose=0
    )
    theirs, own = network(6, "theirs"), network(3, "own")
    optimizers = keras.optimizers.SGD(0.2, momentum=0.9), keras.optimizers.Adam(0.02)
    noted = []
    for step in range(6):
        part = slice(4 * (step % 3), 4 * (step % 3) + 4)
        x, y = rows[0][part], rows[1][part]
        with tf.GradientTape() as of_teacher, tf.GradientTape() as of_student:
            said, z = theirs(x, training=True), own(x, training=True)
            label_loss = sparse_crossentropy()(y, said)
            taught = KLDivergence(2.0).compute_loss(tf.stop_gradient(said), z)
            value = 0.3 * sparse_crossentropy()(y, z) + 0.7 * taught + sum(own.losses)
            whole = label_loss + sum(theirs.losses)
        noted.append((float(label_loss), float(taught)))
        for net, tape, goal, optimizer in (
            (theirs, of_teacher, whole, optimizers[0]),
            (own, of_student, value, optimizers[1]),
        ):
            gradients = tape.gradient(goal, net.trainable_weights)
            optimizer.apply_gradients(zip(gradients, net.trainable_weights, strict=True))
    weights_alike(teacher, theirs)
    weights_alike(student, own)
    means = np.reshape(noted, (2, 3, 2)).mean(axis=1)
    np.testing.assert_allclose(logs.history["teacher_loss"], means[:, 0], rtol=1e-4)
    np.testing.assert_allclose(logs.history["distillation_loss"], means[:, 1], rtol=1e-4)


def test_with_nothing_to_hear_the_teacher_ends_as_supervised(make_net, images):
    """On mixed and augmented views, whose two labels it learns: those that the student sees."""

    def teacher():
        keras.utils.set_random_seed(4)
        return make_net(4, "teacher")

    policy, data = kd_keras.augment.mixup(seed=3), (images[0][:16], images[1][:16])
    one, alone = teacher(), teacher()
    beside = compiled(distiller_of(learning(one), make_net(2, "student"), augmentation=policy))
    supervised = kd_keras.Supervised(alone, policy)
    supervised.compile(keras.optimizers.SGD(0.2, momentum=0.9), sparse_crossentropy())
    for model in (beside, supervised):
        model.fit(*data, batch_size=8, shuffle=False, verbose=0)
    weights_alike(one, alone)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"jit_compile": True}, {"run_eagerly": True}])
def test_training_is_the_same_however_it_is_compiled(rows, options):
    ended = []
    for how in ({}, options):
        teacher, student = network(6, "teacher"), network(3, "student")
        losses = [KLDivergence(2.0), Hint("hidden", "hidden")]
        keras.utils.set_random_seed(1)
        compiled(distiller_of(learning(teacher), student, losses), **how).fit(
            *rows, batch_size=4, epochs=2, shuffle=False, verbose=0
        )
        ended.append((teacher, student))
    for one, other in zip(*ended, strict=True):
        weights_alike(one, other, rtol=1e-3)


def test_it_is_in_the_file_with_its_optimizer(rows, tmp_path):
    distiller = compiled(distiller_of(learning(network(6, "teacher")), network(3, "student")))
    distiller.fit(*rows, batch_size=4, verbose=0)
    distiller.save(tmp_path / "distiller.keras")
    loaded = keras.models.load_model(tmp_path / "distiller.keras")
    assert int(loaded.teacher.optimizer.iterations) == 3
    for model in (distiller, loaded):
        model.fit(*rows, batch_size=4, shuffle=False, verbose=0)
    weights_alike(loaded.teacher.model, distiller.teacher.model)
    weights_alike(loaded.student, distiller.student)


def test_a_run_that_was_cut_short_ends_as_the_unbroken_one(rows, tmp_path):
    batches = tf.data.Dataset.from_tensor_slices(rows).batch(4)

    def run(path, epochs):
        teacher, student = network(6, "teacher", dropout=0.3), network(3, "student", dropout=0.3)
        checkpoint = kd_keras.Checkpoint(path)
        compiled(distiller_of(learning(teacher), student)).fit(
            checkpoint.epochs(lambda epoch: batches),
            steps_per_epoch=3,
            epochs=epochs,
            callbacks=[checkpoint],
            verbose=0,
        )
        return [*teacher.get_weights(), *student.get_weights()]

    whole = run(tmp_path / "whole.npz", 2)
    run(tmp_path / "broken.npz", 1)
    for found, expected in zip(run(tmp_path / "broken.npz", 2), whole, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_loss_of_the_teacher_that_is_not_finite_moves_neither(rows):
    teacher, student = network(6, "teacher"), network(3, "student")
    teacher.layers[-1].bias.assign([np.nan, 0.0, 0.0])
    before = [*teacher.get_weights()[:-1], *student.get_weights()]
    distiller = compiled(distiller_of(learning(teacher), student))
    with pytest.raises(kd_keras.NonFiniteLossError, match="teacher_loss=nan"):
        distiller.fit(*rows, batch_size=4, verbose=0)
    after = [*teacher.get_weights()[:-1], *student.get_weights()]
    for found, expected in zip(after, before, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_in_float16_both_scale_their_loss(rows):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        teacher, student = network(6, "teacher"), network(3, "student")
    finally:
        keras.config.set_dtype_policy("float32")
    described = learning(teacher)
    before = teacher.get_weights()
    compiled(distiller_of(described, student)).fit(*rows, batch_size=4, epochs=2, verbose=0)
    assert isinstance(described.optimizer, keras.optimizers.LossScaleOptimizer)
    assert np.isfinite(np.concatenate([w.ravel() for w in teacher.get_weights()])).all()
    assert np.abs(before[0] - teacher.get_weights()[0]).max() > 1e-3


def test_what_asks_about_views_teaches_it_nothing(make_net, images):
    """`Pick` asks; batch statistics stay as they are until the views that are learnt come."""
    teacher = make_net(4, "teacher")
    pick = kd_keras.augment.Pick(kd_keras.augment.cutmix(seed=1), pool=2)
    distiller = compiled(
        distiller_of(learning(teacher), make_net(2, "student"), augmentation=pick),
        run_eagerly=True,
    )
    distiller.fit(images[0][:8], images[1][:8], batch_size=8, verbose=0)
    mean = teacher.get_layer("norm").moving_mean.numpy()
    counted = []
    teacher.get_layer("norm").call = counting(teacher.get_layer("norm").call, counted)
    distiller.fit(images[0][:8], images[1][:8], batch_size=8, verbose=0)
    assert len(counted) > 1
    assert counted == [False] * (len(counted) - 1) + [True]
    assert not np.array_equal(mean, teacher.get_layer("norm").moving_mean.numpy())


def counting(call, counted):
    def counted_call(inputs, training=None, mask=None):
        counted.append(bool(training))
        return call(inputs, training=training, mask=mask)

    return counted_call


def test_what_cannot_be_is_refused(rows, make_mlp):
    teacher, student = make_mlp("teacher"), make_mlp("student")
    with pytest.raises(ValueError, match=r"`loss` must be a keras.losses.Loss"):
        Learning(teacher, "sgd", "sparse_categorical_crossentropy")
    with pytest.warns(UserWarning, match="The teacher 'teacher' returns logits"):
        Learning(teacher, "sgd", keras.losses.SparseCategoricalCrossentropy())
    with pytest.raises(ValueError, match="must not share layers that train"):
        distiller_of(learning(student), student)
    crowd = Ensemble({"one": learning(teacher), "two": make_mlp("two")})
    with pytest.raises(ValueError, match="A teacher that learns cannot be one of several"):
        distiller_of(crowd, student)
    distiller = kd_keras.Distiller(
        learning(teacher), student, KLDivergence(2.0), student_loss_weight=0
    )
    distiller.compile("sgd")
    with pytest.raises(ValueError, match="learns does so from labels, and the data have none"):
        distiller.fit(rows[0], verbose=0)
    teacher.trainable = False
    with pytest.raises(ValueError, match="has weights that train"):
        distiller_of(learning(teacher), student)
