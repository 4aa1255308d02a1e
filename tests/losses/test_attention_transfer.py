"""Attention transfer, and the maps of different sizes that it shares with neuron selectivity."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kd_keras
from kd_keras.losses import AttentionTransfer, NeuronSelectivity, attention_transfer
from kd_keras.losses.contract.spatial import same_size
from tests.losses.test_logit_losses import random_logits as random_maps


def numpy_attention(maps, power=2.0):
    """The attention of one example, positions flattened."""
    attention = (np.abs(np.asarray(maps, "float64")) ** power).mean(-1).ravel()
    return attention / np.linalg.norm(attention)


@pytest.mark.parametrize("power", [1.0, 2.0, 3.5])
@pytest.mark.parametrize("positions", [(4, 3), (5,)])
def test_values_are_those_of_an_independent_computation(power, positions):
    teacher, student = random_maps(0, (3, *positions, 6)), random_maps(1, (3, *positions, 2))
    expected = [
        ((numpy_attention(t, power) - numpy_attention(s, power)) ** 2).mean()
        for t, s in zip(teacher, student, strict=True)
    ]
    np.testing.assert_allclose(
        AttentionTransfer(power).per_example(teacher, student), expected, rtol=1e-4
    )


def test_scale_order_and_copies_of_channels_change_nothing():
    teacher, student = random_maps(0, (3, 4, 4, 6)), random_maps(1, (3, 4, 4, 2))
    loss = AttentionTransfer()
    expected = loss.per_example(teacher, student)
    np.testing.assert_allclose(loss.per_example(-7 * teacher, student), expected, rtol=1e-4)
    shuffled = np.concatenate([student[..., ::-1], student], axis=-1)
    np.testing.assert_allclose(loss.per_example(teacher, shuffled), expected, rtol=1e-4)
    np.testing.assert_allclose(loss.per_example(teacher, 3 * teacher), np.zeros(3), atol=1e-12)


@pytest.mark.parametrize("loss", [AttentionTransfer(), NeuronSelectivity()])
def test_the_larger_map_is_average_pooled_along_each_axis(loss):
    teacher, student = random_maps(0, (2, 8, 3, 5)), random_maps(1, (2, 4, 6, 2))
    smaller_teacher = teacher.reshape(2, 4, 2, 3, 5).mean(2)
    smaller_student = student.reshape(2, 4, 3, 2, 2).mean(3)
    np.testing.assert_allclose(
        loss.per_example(teacher, student),
        loss.per_example(smaller_teacher, smaller_student),
        rtol=1e-4,
    )


def test_sizes_that_do_not_divide_are_pooled_as_pytorchs_adaptive_pooling_does():
    maps = np.arange(7.0, dtype="float32").reshape(1, 7, 1)
    pooled, _ = same_size(tf.constant(maps), tf.zeros((1, 3, 2)))
    # Windows from floor(7 i / 3) to ceil(7 (i + 1) / 3): 0..2, 2..4, 4..6.
    np.testing.assert_allclose(pooled[0, :, 0], [1.0, 3.0, 5.0])
    pooled, _ = same_size(tf.constant(maps), tf.zeros((1, 5, 2)))
    np.testing.assert_allclose(pooled[0, :, 0], [0.5, 1.5, 3.0, 4.5, 5.5])


def test_sizes_that_are_known_only_at_run_time_are_taken_as_equal():
    maps = [random_maps(seed, (2, 4, 3, 5)) for seed in range(2)]
    signature = [tf.TensorSpec((None, None, None, 5))] * 2
    for loss in (AttentionTransfer(), NeuronSelectivity()):
        compiled = tf.function(loss.per_example, input_signature=signature)
        np.testing.assert_allclose(compiled(*maps), loss.per_example(*maps), rtol=1e-4)


@pytest.mark.parametrize("loss", [AttentionTransfer(), NeuronSelectivity()])
def test_masked_steps_count_nothing(loss):
    teacher, student = random_maps(0, (2, 5, 6)), random_maps(1, (2, 5, 3))
    lengths = [2, 4]
    mask = np.arange(5) < np.array(lengths)[:, None]
    expected = [
        float(loss.compute_loss(teacher[i : i + 1, :n], student[i : i + 1, :n]))
        for i, n in enumerate(lengths)
    ]
    student[~mask] = np.nan
    teacher[~mask] = np.nan
    variable = tf.Variable(student)
    with tf.GradientTape() as tape:
        masked = tf.identity(variable)
        masked._keras_mask = tf.constant(mask)
        values = loss.per_example(teacher, masked)
    np.testing.assert_allclose(values, expected, rtol=1e-4)
    gradient = tape.gradient(values, variable).numpy()
    assert np.isfinite(gradient).all()
    np.testing.assert_array_equal(gradient[~mask], 0.0)
    with pytest.raises(ValueError, match=r"Keras mask.*\(2, 5\).*\(2, 10, 6\)"):
        loss.per_example(random_maps(0, (2, 10, 6)), masked)


@pytest.mark.parametrize("loss", [AttentionTransfer(), NeuronSelectivity()])
@pytest.mark.parametrize(
    ("teacher", "student"),
    [((2, 5), (2, 5)), ((2, 4, 4, 3), (2, 16, 3)), ((2, 4, 4, 3), (2, 3))],
)
def test_features_without_positions_or_of_other_ranks_are_refused(loss, teacher, student):
    with pytest.raises(ValueError, match="feature maps of one rank.*before the global pooling"):
        loss.compute_loss(np.zeros(teacher), np.zeros(student))


def test_several_tensors_are_refused():
    maps = random_maps(0, (2, 4, 4, 3))
    with pytest.raises(ValueError, match="one tensor of features.*the teacher.*teacher_layer_name"):
        AttentionTransfer().compute_loss({"a": maps}, {"a": maps})
    with pytest.raises(ValueError, match="one tensor of features.*the student.*student_layer_name"):
        AttentionTransfer().compute_loss(maps, [maps])


@pytest.mark.parametrize("power", [0.5, 0, float("inf"), "2", True, None])
def test_a_power_out_of_range_is_refused(power):
    with pytest.raises(ValueError, match="`power` must be a finite number >= 1.*Received"):
        AttentionTransfer(power)


def test_the_power_may_be_a_tensor():
    teacher, student = random_maps(0, (3, 4, 6)), random_maps(1, (3, 4, 2))
    np.testing.assert_allclose(
        attention_transfer(teacher, student, tf.constant(2.0)),
        attention_transfer(teacher, student, 2.0),
        rtol=1e-6,
    )


def test_a_mask_reaches_the_loss_through_the_distiller():
    def net(width, name):
        inputs = keras.Input((5, 4))
        hidden = keras.layers.Masking(name=f"{name}_mask")(inputs)
        hidden = keras.layers.TimeDistributed(keras.layers.Dense(width), name="hidden")(hidden)
        pooled = keras.layers.GlobalAveragePooling1D()(hidden)
        return keras.Model(inputs, keras.layers.Dense(3)(pooled), name=name)

    x = random_maps(0, (3, 5, 4))
    x[:, 3:] = 0.0
    loss = AttentionTransfer(teacher_layer_name="hidden", student_layer_name="hidden")
    distiller = kd_keras.Distiller(net(6, "t"), net(2, "s"), loss, student_loss_weight=0.0)
    distiller.compile("sgd", run_eagerly=True)
    logs = distiller.evaluate(x, verbose=0, return_dict=True)
    kept = [
        model.get_layer("hidden").layer(x[:, :3])
        for model in (distiller.teacher, distiller.student)
    ]
    assert logs["distillation_loss"] == pytest.approx(float(loss.compute_loss(*kept)), rel=1e-4)
