"""One augmentation, one teacher forward, one student forward; the loss by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kd_keras
from kd_keras.losses import KLDivergence
from tests.conftest import sparse_crossentropy

FEATURE = ("mse", "relu", "relu")


class Counter(keras.layers.Layer):
    """An identity that counts, in the graph, how often it runs."""

    def build(self, input_shape):
        self.runs = self.add_weight(shape=(), dtype="int32", trainable=False, initializer="zeros")

    def call(self, inputs):
        self.runs.assign_add(1)
        return inputs


def make(make_net, losses=None, **kwargs):
    losses = losses or [KLDivergence(2.0), keras.distillation.FeatureDistillation(*FEATURE)]
    distiller = kd_keras.Distiller(make_net(4, "t"), make_net(4, "s"), losses, **kwargs)
    distiller.compile(keras.optimizers.SGD(0.1), sparse_crossentropy(), metrics=["accuracy"])
    return distiller


def weights_of(model):
    return [np.asarray(weight) for weight in model.weights]


def test_everything_runs_once_a_step(make_net, images):
    # The counter stands in front of the first layer, inside the graph that taps are taken from.
    counters, models = [], []
    for model in (make_net(4, "t"), make_net(4, "s")):
        counter = Counter()
        inputs = keras.Input((6, 6, 1))
        x = counter(inputs)
        for layer in model.layers[1:]:
            x = layer(x)
        models.append(keras.Model(inputs, x))
        counters.append(counter)
    views = tf.Variable(0)

    def augmentation(x):
        views.assign_add(1)
        return x

    losses = [KLDivergence(2.0), keras.distillation.FeatureDistillation(*FEATURE)]
    distiller = kd_keras.Distiller(*models, losses, augmentation=augmentation)
    distiller.compile("sgd", sparse_crossentropy())
    distiller.fit(*images, batch_size=8, epochs=2, verbose=0)
    assert [int(counter.runs) for counter in counters] == [10, 10]
    assert int(views) == 10
    distiller.evaluate(*images, batch_size=8, verbose=0)
    assert int(views) == 10  # evaluation takes the data as given


def test_both_networks_see_the_same_view_and_evaluation_sees_the_data(make_net, images):
    """With student = teacher any difference between their inputs would show as a loss."""
    teacher = make_net(4, "t", norm=False)
    student = keras.models.clone_model(teacher)
    student.set_weights(teacher.get_weights())
    noise = keras.layers.GaussianNoise(1.0)
    distiller = kd_keras.Distiller(
        teacher, student, KLDivergence(1.0), student_loss_weight=0.0, augmentation=noise
    )
    distiller.compile(keras.optimizers.SGD(0.0))
    history = distiller.fit(images[0], batch_size=8, verbose=0).history
    assert history["distillation_loss"][0] == pytest.approx(0.0, abs=1e-6)
    assert history["agreement"] == [1.0]


def test_augmented_training_sees_other_pixels_than_evaluation(make_net, images):
    seen = tf.Variable(0.0)

    def darken(x):
        seen.assign(tf.reduce_max(x))
        return x * 0.5

    distiller = make(make_net, augmentation=darken)
    without = make(make_net)
    without.student.set_weights(distiller.student.get_weights())
    without.teacher.set_weights(distiller.teacher.get_weights())
    a, b = (d.evaluate(*images, verbose=0, return_dict=True) for d in (distiller, without))
    assert a == b
    assert float(seen) == 0.0
    distiller.fit(*images, verbose=0)
    assert float(seen) > 0.0


def test_batch_norm_of_the_student_moves_exactly_once_a_step(make_net, images):
    x, y = images
    distiller = make(make_net)
    student = distiller.student
    before = np.asarray(student.get_layer("norm").moving_mean)
    convolved = student.get_layer("conv")(student.layers[1](x[:8]))
    batch_mean = np.mean(convolved, axis=(0, 1, 2))
    distiller.train_on_batch(x[:8], y[:8])
    moved = np.asarray(student.get_layer("norm").moving_mean)
    np.testing.assert_allclose(moved, 0.5 * before + 0.5 * batch_mean, rtol=1e-4, atol=1e-6)


def test_nothing_of_the_teacher_ever_moves(make_net, images):
    distiller = make(make_net)
    before = weights_of(distiller.teacher)
    distiller.fit(*images, epochs=2, verbose=0)
    for old, new in zip(before, weights_of(distiller.teacher), strict=True):
        np.testing.assert_array_equal(old, new)


def test_evaluate_moves_no_statistic_and_no_weight(make_net, images):
    distiller = make(make_net)
    before = weights_of(distiller)
    distiller.evaluate(*images, verbose=0)
    for old, new in zip(before, weights_of(distiller), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("combine", ["convex", "sum"])
def test_the_loss_and_its_gradient_are_the_formula(make_net, images, combine):
    x, y = images
    kwargs = {"student_loss_weight": 0.3} if combine == "convex" else {}
    feature = keras.distillation.FeatureDistillation(*FEATURE)
    distiller = make(
        make_net,
        [KLDivergence(3.0), feature],
        distillation_loss_weights=[2.0, 0.5],
        combine=combine,
        **kwargs,
    )
    teacher, student = distiller.teacher, distiller.student

    def tap(model):
        return keras.Model(model.input, [model.output, model.get_layer("relu").output])

    teacher_logits, teacher_feature = tap(teacher)(x, training=False)
    reference = keras.models.clone_model(student)
    reference.set_weights(student.get_weights())
    with tf.GradientTape() as tape:
        logits, student_feature = tap(reference)(x, training=True)
        crossentropy = tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits)
        )
        p = tf.nn.softmax(teacher_logits / 3.0)
        q = tf.nn.softmax(logits / 3.0)
        kl = 9.0 * tf.reduce_mean(tf.reduce_sum(p * tf.math.log(p / q), -1))
        mse = tf.reduce_mean((teacher_feature - student_feature) ** 2)
        l2 = 0.01 * tf.reduce_sum(reference.get_layer("conv").kernel ** 2)
        distillation = 2.0 * kl + 0.5 * mse
        total = crossentropy + distillation + l2
        if combine == "convex":
            total = 0.3 * crossentropy + 0.7 * distillation + l2
    gradients = tape.gradient(total, reference.trainable_weights)
    expected = [
        np.asarray(weight) - 0.1 * np.asarray(gradient)
        for weight, gradient in zip(reference.trainable_weights, gradients, strict=True)
    ]
    logs = distiller.train_on_batch(x, y, return_dict=True)
    assert logs["loss"] == pytest.approx(float(total), rel=1e-5)
    assert logs["student_loss"] == pytest.approx(float(crossentropy), rel=1e-5)
    assert logs["distillation_loss"] == pytest.approx(float(distillation), rel=1e-5)
    for weight, value in zip(student.trainable_weights, expected, strict=True):
        np.testing.assert_allclose(weight, value, rtol=1e-3, atol=1e-6)


def test_agreement_and_losses_of_an_epoch_are_means_over_its_examples(make_net, images):
    x, y = images
    distiller = make(make_net)
    logs = distiller.evaluate(x, y, batch_size=16, verbose=0, return_dict=True)  # 16 + 16 + 8
    same = np.argmax(distiller.teacher(x), -1) == np.argmax(distiller.student(x), -1)
    assert logs["agreement"] == pytest.approx(same.mean())
    whole = distiller.evaluate(x, y, batch_size=40, verbose=0, return_dict=True)
    assert logs["loss"] == pytest.approx(whole["loss"], rel=1e-5)
    assert 0.0 < same.mean() < 1.0 or logs["agreement"] in (0.0, 1.0)


def test_sample_weights_act_on_every_per_example_term(make_net, images):
    x, y = images
    weight = np.concatenate([np.full(20, 2.0), np.zeros(20)]).astype("float32")
    distiller = make(make_net, [KLDivergence(2.0)], student_loss_weight=0.3)
    weighted = distiller.evaluate(
        x, y, sample_weight=weight, batch_size=40, verbose=0, return_dict=True
    )
    half = distiller.evaluate(x[:20], y[:20], batch_size=20, verbose=0, return_dict=True)
    # Keras divides by the batch size: 2 * sum over 20 / 40.
    for name in ("student_loss", "distillation_loss"):
        assert weighted[name] == pytest.approx(half[name], rel=1e-5)


def test_zero_sample_weights_leave_only_the_regulariser(make_net, images):
    x, y = images
    distiller = make(make_net, [KLDivergence(2.0)])
    kernel = np.asarray(distiller.student.get_layer("conv").kernel)
    head = np.asarray(distiller.student.get_layer("logits").kernel)
    distiller.train_on_batch(x, y, sample_weight=np.zeros(40))
    np.testing.assert_allclose(
        distiller.student.get_layer("conv").kernel, kernel * (1 - 0.1 * 0.02), rtol=1e-5
    )
    np.testing.assert_array_equal(distiller.student.get_layer("logits").kernel, head)


def test_class_weights_are_sample_weights_by_class(make_net, images):
    x, y = images
    results = []
    for kwargs in (
        {"class_weight": {0: 1.0, 1: 3.0, 2: 0.5}},
        {"sample_weight": np.array([1.0, 3.0, 0.5])[y]},
    ):
        keras.utils.set_random_seed(1)
        distiller = make(make_net, [KLDivergence(2.0)])
        distiller.fit(x, y, batch_size=8, shuffle=False, verbose=0, **kwargs)
        results.append(distiller.student.get_weights())
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_a_scalar_only_loss_with_sample_weights_warns_once_by_name(make_net, images):
    x, y = images
    distiller = make(make_net, [keras.distillation.FeatureDistillation(*FEATURE)])
    with pytest.warns(UserWarning, match="FeatureDistillation.*only a scalar") as caught:
        distiller.fit(x, y, sample_weight=np.ones(40), epochs=2, verbose=0)
    assert sum("only a scalar" in str(warning.message) for warning in caught) == 1


def test_one_hot_labels_train_like_sparse_ones(make_net, images):
    x, y = images
    results = []
    for labels, loss in (
        (y, sparse_crossentropy()),
        (np.eye(3)[y], keras.losses.CategoricalCrossentropy(from_logits=True)),
    ):
        keras.utils.set_random_seed(1)
        distiller = make(make_net)
        distiller.compile(keras.optimizers.SGD(0.1), loss, metrics=["accuracy"])
        history = distiller.fit(x, labels, shuffle=False, epochs=2, verbose=0).history
        results.append([history["loss"], history["accuracy"]])
    np.testing.assert_allclose(results[0], results[1], rtol=1e-5)


def test_without_labels_only_the_teacher_teaches(make_net, images):
    x, _ = images
    distiller = kd_keras.Distiller(
        make_net(4, "t"), make_net(4, "s"), KLDivergence(2.0), student_loss_weight=0
    )
    distiller.compile(keras.optimizers.SGD(0.5), metrics=["accuracy"])
    with pytest.warns(UserWarning, match="metrics are skipped") as caught:
        history = distiller.fit(x, epochs=3, verbose=0).history
    assert sum("metrics are skipped" in str(warning.message) for warning in caught) == 1
    assert "accuracy" not in history
    assert history["distillation_loss"][-1] < history["distillation_loss"][0]
    assert set(distiller.evaluate(x, verbose=0, return_dict=True)) == set(history)


@pytest.mark.slow
def test_steps_per_execution_eager_and_single_steps_train_alike(make_net, images):
    results = []
    for kwargs in ({}, {"steps_per_execution": 3}, {"run_eagerly": True}):
        keras.utils.set_random_seed(1)
        distiller = kd_keras.Distiller(
            make_net(4, "t"), make_net(4, "s", dropout=0.3), KLDivergence(2.0)
        )
        distiller.compile(keras.optimizers.SGD(0.1), sparse_crossentropy(), **kwargs)
        distiller.fit(*images, batch_size=8, shuffle=False, epochs=2, verbose=0)
        assert int(distiller.step) == 10
        results.append(distiller.student.get_weights())
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_gradient_accumulation_equals_the_larger_batch(make_net, images):
    x, y = images
    results = []
    for batch, steps in ((20, None), (10, 2)):
        keras.utils.set_random_seed(1)
        distiller = kd_keras.Distiller(
            make_net(4, "t"), make_net(4, "s", norm=False), KLDivergence(2.0)
        )
        optimizer = keras.optimizers.SGD(0.1, gradient_accumulation_steps=steps)
        distiller.compile(optimizer, sparse_crossentropy())
        distiller.fit(x, y, batch_size=batch, shuffle=False, epochs=2, verbose=0)
        results.append(distiller.student.get_weights())
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
