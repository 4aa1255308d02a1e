"""Relational knowledge distillation: distances, angles, and the memory that the angles take."""

import importlib

import numpy as np
import pytest
import tensorflow as tf

from kd_keras.losses import RelationalKD, relational_angle, relational_distance, relational_kd
from tests.losses.test_logit_losses import random_logits as random_vectors

# The package's attribute of this name is the function.
MODULE = importlib.import_module("kd_keras.losses.relational_kd")


def huber(x):
    return np.where(np.abs(x) < 1, x**2 / 2, np.abs(x) - 0.5)


def numpy_distances(vectors):
    vectors = np.asarray(vectors, "float64")
    distances = np.array([[np.linalg.norm(a - b) for b in vectors] for a in vectors])
    return distances / distances[distances > 0].mean()


def numpy_angles(vectors):
    """cos of the angle at i between j and k, `(i, j, k)`, 0 where an arm is missing."""
    vectors = np.asarray(vectors, "float64")
    batch = len(vectors)
    cosines = np.zeros((batch,) * 3)
    for i in range(batch):
        for j in range(batch):
            for k in range(batch):
                a, b = vectors[j] - vectors[i], vectors[k] - vectors[i]
                if i not in (j, k):
                    cosines[i, j, k] = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    return cosines


def test_values_are_those_of_the_definition():
    teacher, student = random_vectors(0, (6, 5)), random_vectors(1, (6, 3)) ** 3
    distance = huber(numpy_distances(teacher) - numpy_distances(student)).mean(1)
    angle = huber(numpy_angles(teacher) - numpy_angles(student)).mean((1, 2))
    np.testing.assert_allclose(relational_distance(teacher, student), distance, rtol=1e-4)
    np.testing.assert_allclose(relational_angle(teacher, student), angle, rtol=1e-4)
    values = RelationalKD().per_example(teacher, student)
    np.testing.assert_allclose(values, 25 * distance + 50 * angle, rtol=1e-4)


def gradient(teacher, student, upstream):
    variable = tf.Variable(student)
    with tf.GradientTape() as tape:
        values = relational_angle(teacher, variable)
    return values, tape.gradient(values, variable, output_gradients=upstream)


@pytest.mark.parametrize("size", [1, 2, 5, 6])
def test_blocks_of_any_size_give_the_values_and_gradients_of_the_whole(size, monkeypatch):
    teacher, student = random_vectors(0, (6, 5)), random_vectors(1, (6, 3))
    upstream = tf.constant(random_vectors(2, (6,)))
    expected = gradient(teacher, student, upstream)
    monkeypatch.setattr(MODULE, "_BLOCK_FLOATS", 6 * 6 * size)
    for actual, whole in zip(gradient(teacher, student, upstream), expected, strict=True):
        np.testing.assert_allclose(actual, whole, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("width", [3, 200])
def test_no_tensor_of_the_angles_is_larger_than_a_block(width, monkeypatch):
    batch, floats = 40, 2**14
    monkeypatch.setattr(MODULE, "_BLOCK_FLOATS", floats)
    sizes = []
    cosines = MODULE._cosines

    def measured(vectors, block):
        result = cosines(vectors, block)
        sizes.append(max(int(tf.size(result)), len(block) * vectors.shape[0] * vectors.shape[1]))
        return result

    monkeypatch.setattr(MODULE, "_cosines", measured)
    gradient(random_vectors(0, (batch, 5)), random_vectors(1, (batch, width)), tf.ones(batch))
    assert max(sizes) <= floats < batch**3
    assert len(sizes) > 4


def test_a_graph_holds_no_angles_for_the_gradient():
    """What a forward loop hands to the gradient would appear as a list of tensors it writes to."""

    @tf.function(input_signature=[tf.TensorSpec((None, 5)), tf.TensorSpec((None, 3))])
    def value_and_gradient(teacher, student):
        with tf.GradientTape() as tape:
            tape.watch(student)
            value = tf.reduce_sum(relational_angle(teacher, student))
        return value, tape.gradient(value, student)

    graph = value_and_gradient.get_concrete_function().graph.as_graph_def()
    operations = [node.op for function in graph.library.function for node in function.node_def]
    assert "BatchMatMulV2" in operations
    assert "TensorListPushBack" not in operations


def test_equal_examples_and_constant_features_stay_finite():
    teacher = random_vectors(0, (4, 5))
    for student in (np.full((4, 3), 1e4), np.repeat(random_vectors(1, (2, 3)), 2, axis=0)):
        variable = tf.Variable(student.astype("float32"))
        with tf.GradientTape() as tape:
            value = RelationalKD().compute_loss(teacher, variable)
        assert np.isfinite(value)
        assert np.isfinite(tape.gradient(value, variable)).all()


@pytest.mark.parametrize("name", ["distance_weight", "angle_weight"])
def test_weights_out_of_range_are_refused(name):
    with pytest.raises(ValueError, match=rf"`{name}` must be a finite number >= 0.*nan"):
        RelationalKD(**{name: float("nan")})


def test_the_weights_may_be_tensors():
    teacher, student = random_vectors(0, (6, 5)), random_vectors(1, (6, 3))
    numbers = relational_kd(teacher, student, 25.0, 50.0)
    tensors = relational_kd(teacher, student, tf.constant(25.0), tf.constant(50.0))
    np.testing.assert_allclose(tensors, numbers, rtol=1e-6)
