"""The layers by themselves: ranges that follow, the axis of each kernel, bad arguments."""

from __future__ import annotations

import numpy as np
import pytest

from kd_keras.quantize import (
    FakeQuantize,
    QuantizedConv2D,
    QuantizedDense,
    QuantizedDepthwiseConv2D,
)


def range_of(layer):
    return pytest.approx((float(layer.low), float(layer.high)), abs=1e-6)


def test_a_range_follows_the_batches_of_training_as_a_moving_average():
    layer = FakeQuantize(-1.0, 1.0, momentum=0.9)

    layer(np.array([[-3.0, 0.5], [2.0, 1.0]], "float32"), training=True)
    assert range_of(layer) == (-1.2, 1.1)

    layer(np.array([[1.0, 2.1]], "float32"), training=True)  # zero always belongs to the range
    assert range_of(layer) == (-1.08, 1.2)


def test_a_range_stands_still_at_inference():
    layer = FakeQuantize(-1.0, 1.0, momentum=0.9)
    for training in (False, None):
        got = layer(np.array([5.0], "float32"), training=training)
        assert float(got[0]) == pytest.approx(1.0, abs=0.01)
    assert range_of(layer) == (-1.0, 1.0)


def test_a_known_range_stands_still_in_training_too():
    layer = FakeQuantize(0.0, 255.0, momentum=None)
    layer(np.array([5.0], "float32"), training=True)
    assert range_of(layer) == (0.0, 255.0)


def test_a_range_never_becomes_empty():
    layer = FakeQuantize(0.0, 1.0, momentum=0.0)
    assert not np.any(layer(np.zeros((2, 3), "float32"), training=True))
    assert float(layer.high) > float(layer.low)
    assert np.isfinite(layer(np.ones((2, 3), "float32"))).all()


@pytest.mark.parametrize("low, high", [(0.5, 1.0), (-2.0, -1.0), (0.0, 0.0), (1.0, -1.0)])
def test_a_range_must_hold_zero(low, high):
    with pytest.raises(ValueError, match="must hold zero.*Received: low="):
        FakeQuantize(low, high)


@pytest.mark.parametrize("momentum", [1.0, -0.1])
def test_momentum_must_be_a_share(momentum):
    with pytest.raises(ValueError, match=f"Received: momentum={momentum}"):
        FakeQuantize(momentum=momentum)


def levels(values):
    """How many steps of 1/127 of the largest each value is."""
    return values / np.abs(values).max() * 127


def kernel_seen_by(layer, channels):
    """The kernel with which a 1x1 convolution or a dense layer calculates, by unit inputs."""
    unit = np.eye(channels, dtype="float32")
    shape = (
        (channels, channels) if isinstance(layer, QuantizedDense) else (channels, 1, 1, channels)
    )
    return np.asarray(layer(unit.reshape(shape))).reshape(channels, -1)


@pytest.mark.parametrize("kind", [QuantizedConv2D, QuantizedDepthwiseConv2D])
def test_a_convolution_has_a_scale_for_each_output_channel(kind):
    random = np.random.default_rng(0)
    if kind is QuantizedConv2D:
        layer = kind(3, 1, use_bias=False)
        values = random.normal(size=(1, 1, 4, 3))
        values *= np.array([1.0, 0.01, 100.0])  # output channels are the last axis
        by_channel = [(slice(None), channel) for channel in range(3)]
    else:
        layer = kind(3, depth_multiplier=2, padding="same", use_bias=False)
        values = random.normal(size=(3, 3, 4, 2))
        values *= np.logspace(-3, 3, 8).reshape(4, 2)  # and here the last two
    layer.build((None, 5, 5, 4))
    layer.set_weights([values])

    if kind is QuantizedConv2D:
        seen = kernel_seen_by(layer, 4)
        channels = [seen[index] for index in by_channel]
        originals = [values[0, 0][index] for index in by_channel]
    else:
        impulse = np.zeros((1, 5, 5, 4), "float32")
        impulse[0, 2, 2] = 1.0
        seen = np.asarray(layer(impulse))[0, 1:4, 1:4][::-1, ::-1].reshape(9, 8)
        channels, originals = list(seen.T), list(values.reshape(9, 8).T)

    for seen_channel, original in zip(channels, originals, strict=True):
        np.testing.assert_allclose(levels(seen_channel), np.round(levels(original)), atol=2e-3)


def test_a_dense_layer_has_one_scale():
    values = np.random.default_rng(0).normal(size=(4, 3)) * np.array([1.0, 0.01, 100.0])
    layer = QuantizedDense(3, use_bias=False)
    layer.build((None, 4))
    layer.set_weights([values])

    seen = kernel_seen_by(layer, 4)

    np.testing.assert_allclose(levels(seen), np.round(levels(values)), atol=2e-3)
    assert not seen[:, 1].any(), "a ten-thousandth of the largest is below half a step"
