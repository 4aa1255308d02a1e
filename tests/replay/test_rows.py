"""The bytes of a view: what they say of it, and what they keep of the teacher."""

import numpy as np
import pytest
import tensorflow as tf

from kd_keras.replay.rows import RowFormat
from kd_keras.replay.view_identity import view_identity


def stored(logits, k):
    """Return the log-probabilities that come back from the bytes of a row."""
    rows = RowFormat(logits.shape[1], k)
    ids, values = rows.chosen(tf.nn.log_softmax(tf.constant(logits, tf.float32)))
    packed = rows.packed(np.arange(len(logits)), ids.numpy(), values.numpy())
    raw = np.frombuffer(packed.tobytes(), "uint8").reshape(len(logits), -1)
    np.testing.assert_array_equal(rows.identities(tf.constant(raw)), np.arange(len(logits)))
    return rows.dense(tf.constant(raw)).numpy()


def softmax(values):
    return np.exp(values) / np.exp(values).sum(axis=1, keepdims=True)


def test_a_confident_teacher_survives_a_temperature():
    """The logarithm keeps what the probability itself, as a float16, would lose."""
    logits = np.random.default_rng(0).normal(size=(200, 10)) * 6
    exact = softmax(logits / 4)
    kept = softmax(stored(logits, 10) / 4)
    halves = softmax(logits).astype("float16").astype("float64")
    as_probabilities = softmax(np.log(np.maximum(halves, 1e-30)) / 4)
    assert np.abs(kept - exact).max() < 1e-3
    assert np.abs(as_probabilities - exact).max() > 10 * np.abs(kept - exact).max()


def test_what_the_stored_classes_leave_is_shared_evenly():
    logits = np.random.default_rng(1).normal(size=(50, 7)) * 2
    p = softmax(logits)
    q = np.exp(stored(logits, 3))
    order = np.argsort(-p, axis=1)
    np.testing.assert_allclose(q.sum(axis=1), 1, atol=1e-3)
    np.testing.assert_allclose(
        np.take_along_axis(q, order[:, :3], 1), np.take_along_axis(p, order[:, :3], 1), rtol=2e-3
    )
    rest = np.take_along_axis(q, order[:, 3:], 1)
    np.testing.assert_allclose(rest, np.repeat(rest[:, :1], 4, axis=1))
    np.testing.assert_allclose(
        rest.sum(axis=1), 1 - np.sort(p, axis=1)[:, -3:].sum(axis=1), atol=2e-3
    )


def test_nothing_left_is_no_infinity():
    logits = np.array([[80.0, 0.0, -80.0, 1.0]])
    assert np.isfinite(stored(logits, 2)).all()


@pytest.mark.parametrize(
    ("classes", "k", "size"),
    [(1000, 5, 24), (65_536, 2, 12), (65_537, 2, 16), (10, 10, 24), (2, 1, 8)],
)
def test_the_size_of_a_row(classes, k, size):
    assert RowFormat(classes, k).dtype.itemsize == size


def test_ids_beyond_16_bits_come_back():
    logits = np.zeros((2, 70_000))
    logits[0, 69_999], logits[1, 65_537] = 20, 20
    assert stored(logits, 1).argmax(axis=1).tolist() == [69_999, 65_537]


def reference(image, step, position, salt):
    """Return the identity of one view, word by word in Python's whole numbers."""

    def key(number):
        z = (number * 0x9E3779B97F4A7C15) % 2**64
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % 2**64
        return z ^ (z >> 31)

    raw = image.tobytes()
    raw += bytes(-len(raw) % 4)
    words = [step % 2**31, step // 2**31, position]
    words += [int.from_bytes(raw[i : i + 4], "little", signed=True) for i in range(0, len(raw), 4)]
    return (salt + sum(key(i + 1) * word for i, word in enumerate(words))) % 2**64 >> 32


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float16", "int16", "int8"])
def test_the_identity_is_the_hash_of_image_and_place(dtype):
    images = np.random.default_rng(2).integers(0, 100, (4, 3, 3, 1)).astype(dtype)
    for step, salt in ((0, 0), (2**33 + 7, 2**64 - 12345)):
        found = view_identity(images, step, tf.range(4) + 64, salt).numpy()
        expected = [reference(image, step, 64 + row, salt) for row, image in enumerate(images)]
        assert found.tolist() == expected
