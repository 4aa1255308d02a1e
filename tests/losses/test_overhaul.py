"""OFD: margins and partial distances against the reference's case distinction."""

import math

import keras
import numpy as np
import pytest

import kd_keras
from kd_keras.losses import OverhaulFeature, batch_norm_margin, partial_l2


def numpy_partial(source, target, margin):
    """The reference's three cases, each with its own distance."""
    low = (source - margin) ** 2 * ((source > margin) & (target <= margin))
    between = (source - target) ** 2 * ((source > target) & (target > margin) & (target <= 0))
    positive = (source - target) ** 2 * (target > 0)
    values = low + between + positive
    return values.reshape(len(values), -1).sum(1)


def numpy_margin(gamma, beta):
    margins = []
    for s, m in zip(np.abs(gamma), beta, strict=True):
        share = 0.5 * math.erfc(m / s / math.sqrt(2))
        if share > 0.001:
            density = math.exp(-((m / s) ** 2) / 2) / math.sqrt(2 * math.pi)
            margins.append(-s * density / share + m)
        else:
            margins.append(-3 * s)
    return margins


def test_distances_and_margins_against_the_reference():
    random = np.random.default_rng(0)
    teacher, student = (random.normal(size=(5, 3, 3, 4)).astype("float32") for _ in range(2))
    margin = -random.uniform(0.1, 1.0, 4).astype("float32")
    np.testing.assert_allclose(
        partial_l2(teacher, student, margin), numpy_partial(student, teacher, margin), rtol=1e-5
    )
    gamma, beta = random.normal(size=50), random.normal(size=50) * 2
    np.testing.assert_allclose(
        batch_norm_margin(gamma.astype("float32"), beta.astype("float32")),
        numpy_margin(gamma, beta),
        rtol=1e-3,
        atol=1e-5,
    )


def test_margins_at_the_ends():
    # Half of a standard normal is negative: -sqrt(2 / pi). A dead channel has none.
    margins = batch_norm_margin(np.array([1.0, 0.0, 0.0]), np.array([0.0, 1.0, -2.0]))
    np.testing.assert_allclose(margins, [-math.sqrt(2 / math.pi), 0.0, -2.0], atol=1e-6)


def test_a_student_that_is_negative_where_the_teacher_is_costs_nothing():
    teacher = np.array([[-0.2, -5.0, 1.0]], "float32")
    for student in ([-0.3, -1.0, 1.0], [-9.0, -9.0, 1.0]):
        assert float(partial_l2(teacher, np.array([student], "float32"), -1.0)[0]) == 0.0


@pytest.mark.slow
def test_margins_follow_the_teachers_normalisation_at_every_step(make_net, images):
    x, y = images
    teacher = make_net(5, "t")
    loss = OverhaulFeature(
        ["conv", "norm"], ["norm", "norm"], normalization_layer_name=["norm"] * 2
    )
    distiller = kd_keras.Distiller(teacher, make_net(4, "s"), loss)
    (loss,) = distiller.losses_in_use
    distiller.compile("sgd", keras.losses.SparseCategoricalCrossentropy(True), run_eagerly=True)
    norm = teacher.get_layer("norm")
    random = np.random.default_rng(0)
    for _ in range(2):  # the weights of the teacher may be loaded after the distiller is made
        norm.gamma.assign(random.normal(size=5))
        norm.beta.assign(random.normal(size=5))
        logs = distiller.evaluate(x, y, batch_size=40, verbose=0, return_dict=True)
        margin = np.array(numpy_margin(np.array(norm.gamma), np.array(norm.beta)), "float32")
        taps = keras.Model(teacher.inputs, [teacher.get_layer(n).output for n in ("conv", "norm")])(
            x
        )
        student = distiller.student
        own = keras.Model(student.inputs, student.get_layer("norm").output)(x)
        expected = 0.0
        for index, weight in enumerate((0.5, 1.0)):
            source = np.array(loss.connectors.connect(index, own, training=False))
            expected += weight * numpy_partial(source, np.array(taps[index]), margin)
        assert logs["distillation_loss"] == pytest.approx(np.mean(expected), rel=1e-4)
    assert all("norm" not in getattr(layer, "name", "") for layer in distiller._loss_layers)


def test_what_has_no_statistics_is_refused(make_net):
    with pytest.raises(ValueError, match="'relu' of the teacher 't' is a ReLU"):
        kd_keras.Distiller(make_net(4, "t"), make_net(4, "s"), OverhaulFeature("relu", "relu"))
    with pytest.raises(ValueError, match="'bn' of the teacher 't' is no layer"):
        kd_keras.Distiller(
            make_net(4, "t"), make_net(4, "s"), OverhaulFeature("relu", "relu", "bn")
        )
    with pytest.raises(ValueError, match="`margin` must be a finite number <= 0"):
        OverhaulFeature(margin=0.5)
    with pytest.raises(ValueError, match="margins from the teacher, which it has not seen"):
        OverhaulFeature("norm", "norm").build((None, 4), (None, 4))
    loss = OverhaulFeature(["conv", "norm"], ["conv", "norm"], lambda model: "norm")
    loss.attach(make_net(4, "t"), make_net(4, "s"))
    with pytest.raises(ValueError, match="one batch normalisation for each tap"):
        loss.build([(None, 4)] * 2, [(None, 4)] * 2)
    assert loss.get_config()["normalization_layer_name"] == "norm"
