"""The four logit losses: golden values by hand, identities, extremes, gradients."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kd_keras
from kd_keras.losses import KLDivergence, LogitsMSE, ProbabilityMSE, SoftCrossentropy

ALL = [KLDivergence(2.0), SoftCrossentropy(2.0), LogitsMSE(), ProbabilityMSE(2.0)]
TEMPERED = [KLDivergence, SoftCrossentropy, ProbabilityMSE]
LN2, LN3 = np.log(2.0), np.log(3.0)

# softmax(TEACHER) = [3/4, 1/4] and softmax(STUDENT) = [1/2, 1/2]; at T=2 of twice the logits too.
TEACHER = np.array([[LN3, 0.0]], "float32")
STUDENT = np.array([[0.0, 0.0]], "float32")


def names(losses):
    return [type(loss).__name__ for loss in losses]


def numpy_softmax(logits):
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def random_logits(seed=0, shape=(5, 7)):
    return np.random.default_rng(seed).normal(size=shape).astype("float32") * 3


@pytest.mark.parametrize(
    ("loss", "teacher", "student", "expected"),
    [
        # 3/4 log(3/4 / 1/2) + 1/4 log(1/4 / 1/2) = 3/4 log 3 - log 2
        (KLDivergence(1.0), TEACHER, STUDENT, 0.75 * LN3 - LN2),
        # The same distributions at T=2, times T^2.
        (KLDivergence(2.0), 2 * TEACHER, STUDENT, 4 * (0.75 * LN3 - LN2)),
        # -(3/4 + 1/4) log(1/2)
        (SoftCrossentropy(1.0), TEACHER, STUDENT, LN2),
        (SoftCrossentropy(2.0), 2 * TEACHER, STUDENT, 4 * LN2),
        # (1/4^2 + 1/4^2) / 2
        (ProbabilityMSE(1.0), TEACHER, STUDENT, 0.0625),
        # No T^2 here.
        (ProbabilityMSE(2.0), 2 * TEACHER, STUDENT, 0.0625),
        # (1 + 4 + 9) / 3
        (LogitsMSE(), np.array([[1.0, 2.0, 3.0]]), np.zeros((1, 3)), 14 / 3),
    ],
)
def test_values_computed_by_hand(loss, teacher, student, expected):
    assert float(loss.compute_loss(teacher, student)) == pytest.approx(expected, abs=1e-6)


def test_kl_gives_the_value_that_keras_misses_by_default():
    teacher = np.array([[5.0, -3.0, 2.0]], "float32")
    student = np.array([[1.0, 0.5, -1.0]], "float32")
    p, q = numpy_softmax(teacher / 3), numpy_softmax(student / 3)
    expected = 9 * float((p * np.log(p / q)).sum())
    assert float(KLDivergence(3.0).compute_loss(teacher, student)) == pytest.approx(expected, 1e-5)
    broken = float(keras.distillation.LogitsDistillation(3.0).compute_loss(teacher, student))
    assert abs(broken - expected) > 0.1 * expected
    # All logits negative: Keras's default clips everything and says 0.
    negative = teacher - 10, student - 10
    assert float(keras.distillation.LogitsDistillation(3.0).compute_loss(*negative)) == 0.0
    assert float(KLDivergence(3.0).compute_loss(*negative)) == pytest.approx(expected, 1e-5)


def test_kl_equals_keras_where_keras_is_right():
    teacher, student = random_logits(0), random_logits(1)
    reference = keras.distillation.LogitsDistillation(3.0, loss=keras.losses.KLDivergence())
    assert float(KLDivergence(3.0).compute_loss(teacher, student)) == pytest.approx(
        float(reference.compute_loss(teacher, student)), rel=1e-5
    )


def test_soft_crossentropy_is_kl_plus_the_entropy_of_the_teacher():
    teacher, student = random_logits(0), random_logits(1)
    p = numpy_softmax(teacher / 4)
    entropy = -(p * np.log(p)).sum(-1)
    np.testing.assert_allclose(
        SoftCrossentropy(4.0).per_example(teacher, student),
        np.array(KLDivergence(4.0).per_example(teacher, student)) + 16 * entropy,
        rtol=1e-4,
    )


@pytest.mark.parametrize("loss", [KLDivergence(2.0), SoftCrossentropy(2.0), ProbabilityMSE(2.0)])
def test_a_shift_of_all_logits_changes_nothing(loss):
    teacher, student = random_logits(0), random_logits(1)
    np.testing.assert_allclose(
        loss.per_example(teacher + 50.0, student - 20.0),
        loss.per_example(teacher, student),
        rtol=2e-4,
        atol=1e-5,
    )


def test_temperature_times_squared_keeps_the_gradient_scale():
    """For logits t*T and s*T the softened outputs are fixed, so the gradient grows like T."""
    teacher, student = random_logits(0), random_logits(1)

    def gradient(temperature):
        logits = tf.Variable(student * temperature)
        with tf.GradientTape() as tape:
            loss = KLDivergence(temperature).compute_loss(teacher * temperature, logits)
        return tape.gradient(loss, logits).numpy()

    np.testing.assert_allclose(gradient(5.0), 5.0 * gradient(1.0), rtol=1e-4, atol=1e-6)


def test_the_gradient_of_kl_is_the_difference_of_the_softened_outputs():
    """d/ds T^2 KL = T (softmax(s/T) - softmax(t/T)), a textbook identity."""
    teacher, student = random_logits(0), tf.Variable(random_logits(1))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(KLDivergence(3.0).per_example(teacher, student))
    expected = 3 * (numpy_softmax(student.numpy() / 3) - numpy_softmax(teacher / 3))
    np.testing.assert_allclose(tape.gradient(loss, student), expected, rtol=1e-4, atol=1e-5)


def test_kl_at_a_large_temperature_tends_to_half_the_mse_of_centred_logits():
    teacher, student = random_logits(0), random_logits(1)
    teacher -= teacher.mean(-1, keepdims=True)
    student -= student.mean(-1, keepdims=True)
    np.testing.assert_allclose(
        KLDivergence(300.0).per_example(teacher, student),
        0.5 * np.array(LogitsMSE().per_example(teacher, student)),
        rtol=0.05,
    )


@pytest.mark.parametrize("loss", ALL, ids=names(ALL))
def test_each_example_has_its_own_value_and_a_batch_of_one_works(loss):
    teacher, student = random_logits(0), random_logits(1)
    rows = [loss.compute_loss(teacher[i : i + 1], student[i : i + 1]) for i in range(5)]
    np.testing.assert_allclose(loss.per_example(teacher, student), rows, rtol=1e-5)


@pytest.mark.parametrize("loss", ALL, ids=names(ALL))
def test_dense_outputs_are_averaged_over_positions(loss):
    teacher, student = random_logits(0, (2, 3, 4)), random_logits(1, (2, 3, 4))
    rows = [float(loss.compute_loss(teacher[i], student[i])) for i in range(2)]
    np.testing.assert_allclose(loss.per_example(teacher, student), rows, rtol=1e-5)


def test_a_mask_leaves_the_mean_over_the_valid_positions():
    teacher, student = tf.constant(random_logits(0, (2, 3, 4))), random_logits(1, (2, 3, 4))
    mask = np.array([[True, True, False], [True, False, False]])
    every = np.array(KLDivergence(2.0).values(teacher, student))
    masked = tf.constant(student)
    masked._keras_mask = tf.constant(mask)
    value = float(KLDivergence(2.0).compute_loss(teacher, masked))
    assert value == pytest.approx(every[mask].mean(), rel=1e-5)
    # What is masked does not count, not even NaN.
    student[~mask] = np.nan
    masked = tf.constant(student)
    masked._keras_mask = tf.constant(mask)
    assert float(KLDivergence(2.0).compute_loss(teacher, masked)) == pytest.approx(value, rel=1e-5)


def test_sample_weights_per_example_and_per_position_follow_keras():
    teacher, student = random_logits(0, (2, 3, 4)), random_logits(1, (2, 3, 4))
    values = np.array(KLDivergence(2.0).values(teacher, student))
    for weight in (np.array([2.0, 0.5]), np.array([[1.0, 0.0, 2.0], [0.0, 0.0, 3.0]])):
        spread = weight.reshape(2, -1)
        weighted = KLDivergence(2.0).per_example(teacher, student, sample_weight=weight)
        np.testing.assert_allclose(weighted, (values * spread).mean(-1), rtol=1e-5)


def test_outputs_in_a_dict_are_added():
    teacher = {"a": random_logits(0), "b": random_logits(1)}
    student = {"a": random_logits(2), "b": random_logits(3)}
    loss = KLDivergence(2.0)
    parts = [float(loss.compute_loss(teacher[k], student[k])) for k in ("a", "b")]
    assert float(loss.compute_loss(teacher, student)) == pytest.approx(sum(parts), rel=1e-5)


def test_one_logit_is_a_binary_class_and_not_a_silent_zero():
    teacher, student = np.array([[1.2]], "float32"), np.array([[-0.7]], "float32")
    two = [np.concatenate([z, np.zeros_like(z)], -1) for z in (teacher, student)]
    for kind in TEMPERED:
        one_unit = float(kind(2.0).compute_loss(teacher, student))
        assert one_unit == pytest.approx(float(kind(2.0).compute_loss(*two)), rel=1e-6)
        assert one_unit > 0


@pytest.mark.parametrize("kind", TEMPERED)
@pytest.mark.parametrize("temperature", [0, -1.0, float("nan"), float("inf"), "4", True, None])
def test_a_temperature_that_is_not_positive_and_finite_is_refused(kind, temperature):
    with pytest.raises(
        ValueError, match=r"`temperature` must be a finite number in \[0.001, 1000\].*Received"
    ):
        kind(temperature)


@pytest.mark.parametrize("loss", ALL, ids=names(ALL))
def test_class_counts_that_differ_are_refused(loss):
    with pytest.raises(ValueError, match=r"same number of classes.*\(5, 7\).*\(5, 6\)"):
        loss.compute_loss(random_logits(), random_logits(1, (5, 6)))


@pytest.mark.parametrize("loss", ALL, ids=names(ALL))
def test_structures_that_differ_are_refused(loss):
    with pytest.raises(ValueError, match="one structure"):
        loss.compute_loss({"a": random_logits()}, random_logits())


@pytest.mark.parametrize("loss", ALL, ids=names(ALL))
@pytest.mark.parametrize("role", ["teacher", "student"])
def test_softmax_outputs_are_refused(loss, role):
    logits = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    softmax = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, activation="softmax")])
    models = {"teacher": logits, "student": logits, role: softmax}
    loss.validate_model_compatibility(logits, logits)
    with pytest.raises(ValueError, match=f"works on logits, but the {role}.*probabilities"):
        loss.validate_model_compatibility(**models)


@pytest.mark.parametrize("loss", ALL, ids=names(ALL))
def test_every_loss_trains_inside_the_distiller_of_keras(loss):
    teacher = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    student = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    theirs = keras.distillation.Distiller(teacher, student, loss, student_loss_weight=0.0)
    theirs.compile("sgd", loss="mse")
    x = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
    logs = theirs.evaluate(x, np.zeros((8, 2)), verbose=0, return_dict=True)
    expected = float(loss.compute_loss(teacher(x), student(x)))
    assert logs["distillation_loss"] == pytest.approx(expected, rel=1e-5)


def test_the_classic_formula_can_be_written_as_it_stands():
    """CE + lambda * (1/N) sum over examples and classes of (t - s)^2, by hand."""
    random = np.random.default_rng(0)
    x, y = random.normal(size=(6, 4)).astype("float32"), np.array([0, 1, 2, 0, 1, 2])
    teacher, student = (
        keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]) for _ in range(2)
    )
    loss = ProbabilityMSE(1.0, over_classes="sum")
    distiller = kd_keras.Distiller(teacher, student, loss, [0.7], combine="sum")
    crossentropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    distiller.compile("sgd", crossentropy)
    soft = [np.asarray(keras.ops.softmax(model(x))) for model in (teacher, student)]
    expected = float(crossentropy(y, student(x))) + 0.7 * ((soft[0] - soft[1]) ** 2).sum() / 6
    found = distiller.evaluate(x, y, verbose=0, return_dict=True)["loss"]
    assert found == pytest.approx(expected, rel=1e-5)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert again.over_classes == "sum"
    with pytest.raises(ValueError, match="`over_classes` must be 'mean' or 'sum'"):
        ProbabilityMSE(over_classes="total")
