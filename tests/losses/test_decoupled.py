"""Decoupled knowledge distillation: values, its relation to the plain KL, and its labels."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kd_keras
from kd_keras.losses import DecoupledKD, KLDivergence, decoupled_kd
from tests.losses.test_logit_losses import numpy_softmax, random_logits

LABELS = np.array([2, 0, 6, 6, 3])


def numpy_decoupled(teacher, student, label, temperature, alpha, beta):
    """One example in float64, by the formulas of the paper."""
    p = numpy_softmax(np.asarray(teacher, "float64") / temperature)
    q = numpy_softmax(np.asarray(student, "float64") / temperature)
    others = np.arange(len(p)) != label
    p_other, q_other = p[others] / p[others].sum(), q[others] / q[others].sum()
    target = p[label] * np.log(p[label] / q[label])
    target += (1 - p[label]) * np.log((1 - p[label]) / (1 - q[label]))
    other = (p_other * np.log(p_other / q_other)).sum()
    return temperature**2 * (alpha * target + beta * other)


@pytest.mark.parametrize(("temperature", "alpha", "beta"), [(4.0, 1.0, 8.0), (1.0, 0.5, 0.0)])
def test_values_are_those_of_the_paper(temperature, alpha, beta):
    teacher, student = random_logits(0), random_logits(1)
    expected = [
        numpy_decoupled(t, s, y, temperature, alpha, beta)
        for t, s, y in zip(teacher, student, LABELS, strict=True)
    ]
    loss = DecoupledKD(temperature, alpha, beta)
    np.testing.assert_allclose(loss.per_example(teacher, student, y=LABELS), expected, rtol=1e-4)
    assert float(loss.compute_loss(teacher, student, y=LABELS)) == pytest.approx(
        np.mean(expected), rel=1e-4
    )


def test_the_plain_kl_is_the_target_term_and_a_share_of_the_other_term():
    teacher, student = random_logits(0), random_logits(1)
    terms = [
        np.array(DecoupledKD(2.0, alpha, beta).per_example(teacher, student, y=LABELS))
        for alpha, beta in ((1.0, 0.0), (0.0, 1.0))
    ]
    share = 1 - numpy_softmax(teacher / 2)[np.arange(5), LABELS]
    kl = KLDivergence(2.0).per_example(teacher, student)
    np.testing.assert_allclose(terms[0] + share * terms[1], kl, rtol=1e-3, atol=1e-5)


def test_with_two_classes_it_is_alpha_times_the_plain_kl():
    teacher, student = random_logits(0, (5, 2)), random_logits(1, (5, 2))
    np.testing.assert_allclose(
        DecoupledKD(2.0, 3.0, 8.0).per_example(teacher, student, y=LABELS % 2),
        3 * np.array(KLDivergence(2.0).per_example(teacher, student)),
        rtol=1e-4,
    )


def test_a_teacher_that_is_sure_to_the_last_digit_still_teaches():
    # 1 - p_y rounds to 0 in float32; its logarithm does not.
    teacher, student = tf.constant([[60.0, 1.0, 0.0]]), tf.Variable([[20.0, 0.0, 1.0]])
    with tf.GradientTape() as tape:
        value = DecoupledKD(1.0).compute_loss(teacher, student, y=np.array([0]))
    p, q = numpy_softmax(np.array([1.0, 0.0])), numpy_softmax(np.array([0.0, 1.0]))
    assert float(value) == pytest.approx(8 * (p * np.log(p / q)).sum(), rel=1e-5)
    np.testing.assert_allclose(tape.gradient(value, student)[0, 1:], 8 * (q - p), rtol=1e-4)


def test_a_class_that_both_mask_counts_nothing():
    teacher, student = random_logits(0), random_logits(1)
    loss = DecoupledKD(2.0)
    masks = np.full((5, 1), -np.inf, "float32")
    variable = tf.Variable(np.concatenate([student, masks], axis=-1))
    with tf.GradientTape() as tape:
        value = loss.compute_loss(np.concatenate([teacher, masks], -1), variable, y=LABELS)
    assert float(value) == pytest.approx(
        float(loss.compute_loss(teacher, student, y=LABELS)), rel=1e-5
    )
    gradient = tape.gradient(value, variable).numpy()
    assert np.isfinite(gradient).all()
    np.testing.assert_array_equal(gradient[:, -1], 0.0)


def labels_in_all_formats():
    one_hot = np.eye(7)[LABELS]
    mixed = 0.6 * one_hot + 0.4 * np.roll(one_hot, 1, axis=0)
    return {
        "column": LABELS[:, None],
        "float ids": LABELS.astype("float32"),
        "one-hot": one_hot,
        "mixed": mixed.astype("float32"),
        "smoothed": 0.9 * one_hot + 0.1 / 7,
        "the only one of a dict": {"anything": LABELS},
        "one of a dict": {"student": LABELS, "other": LABELS * 0},
        "a tensor": tf.constant(LABELS, "uint8"),
    }


@pytest.mark.parametrize("form", labels_in_all_formats())
def test_labels_come_in_every_format(form):
    teacher, student = random_logits(0), random_logits(1)
    loss = DecoupledKD(4.0, teacher_layer_name="teacher", student_layer_name="student")
    np.testing.assert_array_equal(
        loss.per_example(teacher, student, y=labels_in_all_formats()[form]),
        loss.per_example(teacher, student, y=LABELS),
    )


def test_dense_outputs_masks_and_weights():
    teacher, student = random_logits(0, (2, 3, 4)), random_logits(1, (2, 3, 4))
    labels = np.array([[0, 1, 2], [3, 3, 0]])
    loss = DecoupledKD(2.0)
    rows = np.array(
        [loss.per_example(t, s, y=y) for t, s, y in zip(teacher, student, labels, strict=True)]
    )
    for y in (labels, labels[..., None], np.eye(4)[labels]):
        np.testing.assert_allclose(loss.per_example(teacher, student, y=y), rows.mean(1), rtol=1e-5)
    weight = np.array([[1.0, 0.0, 2.0], [0.0, 0.0, 3.0]])
    weighted = loss.per_example(teacher, student, y=labels, sample_weight=weight)
    np.testing.assert_allclose(weighted, (rows * weight).mean(1), rtol=1e-5)
    mask = np.array([[True, True, False], [True, False, False]])
    masked = tf.constant(student)
    masked._keras_mask = tf.constant(mask)
    value = float(loss.compute_loss(teacher, masked, y=labels))
    assert value == pytest.approx(rows[mask].mean(), rel=1e-5)


def test_a_position_whose_label_is_no_class_counts_nothing():
    teacher, student = random_logits(0), tf.Variable(random_logits(1))
    ignored = np.where(np.arange(5) == 1, 255, LABELS)
    with tf.GradientTape() as tape:
        values = DecoupledKD().per_example(teacher, student, y=ignored)
    every = np.array(DecoupledKD().per_example(teacher, student, y=LABELS))
    np.testing.assert_array_equal(values, np.where(np.arange(5) == 1, 0.0, every))
    gradient = tape.gradient(values, student).numpy()
    np.testing.assert_array_equal(gradient[1], 0.0)
    assert np.isfinite(gradient).all()


def test_outputs_in_dicts_and_lists_take_their_own_labels():
    teacher = {"b": random_logits(0), "a": random_logits(1)}
    student = {"b": random_logits(2), "a": random_logits(3)}
    y = {"unused": LABELS, "a": LABELS, "b": (LABELS + 1) % 7}
    loss = DecoupledKD()
    parts = {k: float(loss.compute_loss(teacher[k], student[k], y=y[k])) for k in teacher}
    assert float(loss.compute_loss(teacher, student, y=y)) == pytest.approx(sum(parts.values()))
    lists = [[structure[k] for k in ("b", "a")] for structure in (teacher, student, y)]
    value = float(loss.compute_loss(*lists[:2], y=lists[2]))
    assert value == pytest.approx(sum(parts.values()))


def test_labels_that_are_missing_or_fit_nothing_are_refused():
    teacher, student = random_logits(0), random_logits(1)
    loss = DecoupledKD()
    with pytest.raises(ValueError, match=r"needs the labels.*y=None.*kd_keras.Distiller"):
        loss.compute_loss(teacher, student)
    with pytest.raises(ValueError, match=r"one class id per position.*\(5, 6\).*\(5, 7\)"):
        loss.compute_loss(teacher, student, y=np.zeros((5, 6)))
    for y in ({"c": LABELS, "d": LABELS}, [LABELS, LABELS]):
        with pytest.raises(ValueError, match="cannot tell which labels"):
            loss.compute_loss(teacher, student, y=y)
    with pytest.raises(ValueError, match="cannot tell which labels"):
        loss.compute_loss({"a": teacher}, {"a": student}, y=LABELS)


def test_one_binary_logit_is_refused():
    with pytest.raises(ValueError, match=r"two classes or more.*\(5, 1\).*KLDivergence"):
        DecoupledKD().compute_loss(np.zeros((5, 1)), np.zeros((5, 1)), y=np.zeros(5))


@pytest.mark.parametrize("name", ["alpha", "beta"])
@pytest.mark.parametrize("weight", [-1.0, float("nan"), "1", True, None])
def test_weights_out_of_range_are_refused(name, weight):
    with pytest.raises(ValueError, match=rf"`{name}` must be a finite number >= 0.*Received"):
        DecoupledKD(**{name: weight})


def test_the_hyper_parameters_may_be_tensors():
    teacher, student = random_logits(0), random_logits(1)
    numbers = decoupled_kd(teacher, student, LABELS, 4.0, 1.0, 8.0)
    tensors = decoupled_kd(teacher, student, LABELS, *map(tf.constant, (4.0, 1.0, 8.0)))
    np.testing.assert_allclose(tensors, numbers, rtol=1e-6)


def test_the_distiller_says_that_it_needs_labels_and_that_of_keras_too():
    def dense():
        return keras.Sequential([keras.Input((3,)), keras.layers.Dense(4)])

    x = np.ones((4, 3), "float32")
    ours = kd_keras.Distiller(dense(), dense(), DecoupledKD(), student_loss_weight=0)
    ours.compile("sgd", run_eagerly=True)
    with pytest.raises(ValueError, match="DecoupledKD needs the labels"):
        ours.fit(x, verbose=0)
    theirs = keras.distillation.Distiller(dense(), dense(), DecoupledKD())
    theirs.compile("sgd", loss="mse", run_eagerly=True)
    with pytest.raises(ValueError, match="hands no labels to its losses"):
        theirs.fit(x, np.zeros((4, 4)), verbose=0)
