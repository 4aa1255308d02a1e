"""In-batch contrast against NumPy."""

import numpy as np
import pytest

from kd_keras.losses import InBatchContrast, in_batch_contrast
from kd_keras.losses.contract.contrastive import class_numbers


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def numpy_contrast(teacher, student, temperature, allowed):
    values = []
    for i in range(len(teacher)):
        value = 0.0
        for anchor, others in ((student[i], teacher), (teacher[i], student)):
            powers = np.exp(others @ anchor / temperature)
            value -= np.log(powers[i] / (powers[i] + powers[allowed[i]].sum()))
        values.append(value)
    return values


@pytest.mark.parametrize("by_class", [False, True])
def test_against_numpy(by_class):
    random = np.random.default_rng(0)
    teacher = random.normal(size=(5, 2, 2, 3)).astype("float32")
    student = random.normal(size=(5, 6)).astype("float32")
    y = np.array([0, 1, 0, 2, 1])
    loss = InBatchContrast(temperature=0.3, dimensions=4, other_classes_only=by_class)
    loss.build(teacher.shape, student.shape)
    rows = []
    for layer, features in ((loss.teacher_embedding, teacher), (loss.student_embedding, student)):
        kernel, bias = (np.array(weight) for weight in layer.weights)
        rows.append(unit(features.reshape(5, -1) @ kernel + bias))
    allowed = (y[:, None] != y) if by_class else ~np.eye(5, dtype=bool)
    for labels in (y, y[:, None], np.eye(3)[y]):
        values = loss.per_example(teacher, student, y=labels)
        np.testing.assert_allclose(values, numpy_contrast(*rows, 0.3, allowed), rtol=1e-4)


def test_identities():
    rows = np.eye(3, 4, dtype="float32")
    # Orthogonal embeddings that agree: 2 log(1 + 2 e^(-1/T)), which is nothing for a small T.
    np.testing.assert_allclose(
        in_batch_contrast(rows, rows, 1.0), np.full(3, 2 * np.log(1 + 2 * np.exp(-1))), rtol=1e-6
    )
    np.testing.assert_allclose(in_batch_contrast(rows, rows, 0.05), np.zeros(3), atol=1e-6)
    np.testing.assert_allclose(in_batch_contrast(rows[:1], rows[:1], 0.07), [0.0], atol=1e-6)
    # A rotation of all embeddings changes nothing.
    random = np.random.default_rng(0)
    rotation = np.linalg.qr(random.normal(size=(4, 4)))[0].astype("float32")
    teacher, student = (unit(random.normal(size=(5, 4)).astype("float32")) for _ in range(2))
    np.testing.assert_allclose(
        in_batch_contrast(teacher @ rotation, student @ rotation, 0.5),
        in_batch_contrast(teacher, student, 0.5),
        rtol=1e-4,
    )


def test_bad_arguments_are_refused():
    with pytest.raises(
        ValueError, match=r"`temperature` must be a finite number in \[0.001, 1000\]"
    ):
        InBatchContrast(temperature=0.0)
    with pytest.raises(ValueError, match="`dimensions` must be an integer >= 1"):
        InBatchContrast(dimensions=0.5)
    with pytest.raises(ValueError, match="compares one tap of each network"):
        InBatchContrast().build([(None, 4), (None, 4)], [(None, 4), (None, 4)])
    with pytest.raises(ValueError, match="sizes must be known"):
        InBatchContrast().build((None, None, None, 4), (None, 4))
    with pytest.raises(ValueError, match="need labels `y`.*Received: y=None"):
        class_numbers(None)
