"""Knowledge review: the context loss by hand, the fusion against NumPy."""

import numpy as np
import pytest

from kd_keras.losses import KnowledgeReview, hierarchical_context
from tests.losses.test_spatial import numpy_pool


def numpy_context(teacher, student):
    """The reference's loop: both maps pooled to each level that is smaller than the map."""
    height = student.shape[1]
    total, weight, weights = ((teacher - student) ** 2).mean((1, 2, 3)), 1.0, 1.0
    for level in (4, 2, 1):
        if level >= height:
            continue
        maps = []
        for one in (teacher, student):
            pooled = numpy_pool(one, level)
            maps.append(numpy_pool(pooled.transpose(0, 2, 1, 3), level).transpose(0, 2, 1, 3))
        weight /= 2
        total = total + weight * ((maps[0] - maps[1]) ** 2).mean((1, 2, 3))
        weights += weight
    return total / weights


@pytest.mark.parametrize("size", [8, 4, 3, 1])
def test_the_context_loss_of_every_size(size):
    random = np.random.default_rng(0)
    maps = [random.normal(size=(2, size, size, 3)).astype("float32") for _ in range(2)]
    np.testing.assert_allclose(hierarchical_context(*maps), numpy_context(*maps), rtol=1e-5)
    np.testing.assert_array_equal(hierarchical_context(maps[0], maps[0]), np.zeros(2))


def numpy_norm(x, norm):
    gamma, beta, mean, variance = (np.array(weight) for weight in norm.weights)
    return gamma * (x - mean) / np.sqrt(variance + 1e-5) + beta


def numpy_convolution_3x3(x, kernel):
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    height, width = x.shape[1:3]
    return sum(
        padded[:, i : i + height, j : j + width] @ kernel[i, j] for i in range(3) for j in range(3)
    )


def test_the_fusion_against_numpy():
    random = np.random.default_rng(0)

    def draw(*shape):
        return random.normal(size=(2, *shape)).astype("float32")

    teacher, student = (
        [draw(4, 4, 3), draw(2, 2, 5), draw(6)],
        [draw(4, 4, 2), draw(4, 4, 3), draw(7)],
    )
    loss = KnowledgeReview(max_width=4)
    loss.build([one.shape for one in teacher], [one.shape for one in student])
    for stage in loss.fusion.stages:
        for norm in (stage.own_norm, stage.out_norm):
            for weight in norm.weights:
                weight.assign(random.uniform(0.5, 1.5, weight.shape))
    carry, expected = None, 0.0
    for index in (2, 1, 0):
        stage = loss.fusion.stages[index]
        own = student[index] if index < 2 else student[index][:, None, None, :]
        target = teacher[index] if index < 2 else teacher[index][:, None, None, :]
        x = numpy_norm(own @ np.array(stage.own.kernel), stage.own_norm)
        assert x.shape[-1] == 4  # min(max_width, 7)
        if carry is not None:
            times = x.shape[1] // carry.shape[1]
            carry = carry.repeat(times, axis=1).repeat(times, axis=2)
            both = np.concatenate([x, carry], -1) @ np.array(stage.gates.kernel)
            gates = 1 / (1 + np.exp(-both - np.array(stage.gates.bias)))
            x = x * gates[..., :1] + carry * gates[..., 1:]
        step = x.shape[1] // target.shape[1]
        carry = x[:, ::step, ::step]
        out = numpy_norm(numpy_convolution_3x3(carry, np.array(stage.out.kernel)), stage.out_norm)
        expected = expected + numpy_context(target, out)
    np.testing.assert_allclose(loss.per_example(teacher, student), expected, rtol=1e-4)


def test_statistics_move_in_training_alone():
    random = np.random.default_rng(0)
    features = [random.normal(size=(4, 2, 2, 3)).astype("float32") for _ in range(2)]
    loss = KnowledgeReview()
    loss.build(features[0].shape, features[1].shape)
    norm = loss.fusion.stages[0].own_norm
    loss.per_example(*features)
    np.testing.assert_array_equal(norm.moving_mean, np.zeros(3))
    loss.per_example(*features, training=True)
    assert np.any(norm.moving_mean)


def test_shapes_and_widths_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"KnowledgeReview needs taps.*\(None, 5, 3\)"):
        KnowledgeReview().build((None, 5, 3), (None, 5, 3))
    with pytest.raises(ValueError, match="known sizes"):
        KnowledgeReview().build((None, None, None, 3), (None, 4, 4, 3))
    with pytest.raises(ValueError, match="`max_width` must be an integer >= 1"):
        KnowledgeReview(max_width=0)
