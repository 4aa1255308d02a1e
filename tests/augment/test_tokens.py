"""Views of ids of words: seeded, words change as the layer says, padding stays behind the words."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kd_keras
from kd_keras.augment import (
    MixUp,
    NGram,
    SpanSwap,
    TokenPolicy,
    WordDropout,
    WordMask,
    WordReplacement,
)
from kd_keras.augment.draws import Draws
from kd_keras.augment.rows import Rows
from kd_keras.losses import KLDivergence
from tests.conftest import sparse_crossentropy

VOCABULARY = 500
LENGTHS = np.arange(400) % 13  # some texts are empty
IDS = np.where(
    np.arange(12) < LENGTHS[:, None],
    np.random.default_rng(0).integers(2, VOCABULARY, (400, 12)),
    0,
).astype("int32")
LAYERS = (
    WordDropout(0.3),
    WordMask(0.3),
    WordReplacement(VOCABULARY, 0.3),
    SpanSwap(1.0),
    NGram(1.0),
)
each_layer = pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: type(layer).__name__)


def words(row):
    return row[row > 0].tolist()


@each_layer
def test_padding_stays_behind_the_words_and_empty_texts_empty(layer):
    views = layer(tf.constant(IDS), step=1).numpy()
    assert views.dtype == IDS.dtype and views.shape == IDS.shape
    count = (views > 0).sum(axis=1)
    np.testing.assert_array_equal(views > 0, np.arange(12) < count[:, None])
    np.testing.assert_array_equal(count == 0, LENGTHS == 0)
    assert (count <= LENGTHS).all()
    assert not np.array_equal(views, IDS)


@each_layer
def test_a_view_is_a_function_of_seed_step_and_position(layer):
    policy = TokenPolicy([layer], seed=3)
    views = policy(tf.constant(IDS), step=5).numpy()
    in_graph = tf.function(lambda ids, step: policy(ids, step=step))
    np.testing.assert_array_equal(views, in_graph(tf.constant(IDS), tf.constant(5, tf.int64)))
    np.testing.assert_array_equal(views[:50], policy(tf.constant(IDS[:50]), step=5))
    assert not np.array_equal(views, policy(tf.constant(IDS), step=6))
    assert not np.array_equal(views, TokenPolicy([layer], seed=4)(tf.constant(IDS), step=5))
    # The second half of a batch on a second replica.
    rows = Rows(tf.range(200, 400), tf.constant(400), tf.constant(400), leading=False)
    half = layer.apply(tf.constant(IDS[200:]), Draws((3, 0), 5, rows))
    np.testing.assert_array_equal(views[200:], half)


def test_dropped_words_close_up_and_a_text_keeps_a_word():
    views = WordDropout(0.3)(tf.constant(IDS), step=0).numpy()
    for before, after in zip(IDS, views, strict=True):
        left = iter(words(before))
        assert all(word in left for word in words(after))  # in their order
    assert (views > 0).sum() == pytest.approx(0.7 * (IDS > 0).sum(), rel=0.05)
    np.testing.assert_array_equal(WordDropout(1.0)(tf.constant(IDS), step=0), IDS)
    np.testing.assert_array_equal(WordDropout(0.0)(tf.constant(IDS), step=0), IDS)


def test_masked_words_become_unknown_in_their_places():
    views = WordMask(0.3)(tf.constant(IDS), step=0).numpy()
    changed = views != IDS
    assert (views[changed] == 1).all()
    assert changed.sum() == pytest.approx(0.3 * (IDS > 0).sum(), rel=0.1)


def test_replacements_are_words_of_the_vocabulary_drawn_by_zipf():
    ids = tf.fill((400, 200), 7)
    views = WordReplacement(VOCABULARY, 1.0)(ids, step=0).numpy()
    assert views.min() == 2 and views.max() == VOCABULARY - 1
    shares = np.bincount(views.ravel(), minlength=VOCABULARY)[2:] / views.size
    ranks = np.arange(VOCABULARY - 2)
    expected = np.log((ranks + 2) / (ranks + 1)) / np.log(VOCABULARY - 1)
    np.testing.assert_allclose(shares[:5], expected[:5], rtol=0.05)
    assert shares[100:].sum() == pytest.approx(expected[100:].sum(), rel=0.05)
    some = WordReplacement(VOCABULARY, 0.25)(tf.constant(IDS), step=0).numpy()
    assert (some != IDS).sum() == pytest.approx(0.25 * (IDS > 0).sum(), rel=0.1)


def test_swapped_spans_are_two_runs_of_the_text():
    views = SpanSwap(1.0)(tf.constant(IDS), step=0).numpy()
    for before, after in zip(map(words, IDS), map(words, views), strict=True):
        length = len(before)
        swaps = [
            before[:a] + before[b:c] + before[a:b] + before[c:]
            for a in range(length + 1)
            for b in range(a, length + 1)
            for c in range(b, length + 1)
        ]
        assert after in swaps
    half = SpanSwap(0.5)(tf.constant(IDS), step=0).numpy()
    assert (half != IDS).any(axis=1).sum() < (views != IDS).any(axis=1).sum()


def test_an_n_gram_is_a_run_of_the_text_of_any_length():
    views = NGram(1.0)(tf.constant(IDS), step=0).numpy()
    kept, starts = [], []
    for before, after in zip(map(words, IDS), map(words, views), strict=True):
        found = [i for i in range(len(before)) if before[i : i + len(after)] == after]
        assert found or not before
        if len(before) == 12:
            kept.append(len(after))
            starts += found
    assert min(kept) <= 2 and max(kept) >= 11
    assert min(starts) == 0 and max(starts) >= 8


def test_a_policy_is_saved_and_a_student_sees_its_views():
    policy = TokenPolicy(list(LAYERS), seed=1, name="all")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(policy))
    np.testing.assert_array_equal(again(tf.constant(IDS), step=2), policy(IDS, step=2))
    assert repr(again) == repr(policy)
    hidden = TokenPolicy([WordMask(1.0)], seed=1)

    def net():
        return kd_keras.models.text_network(
            "bag4", length=12, num_classes=3, vocabulary_size=VOCABULARY, seed=1
        )

    student = net()
    before = student.get_layer("embedding").get_weights()[0]
    distiller = kd_keras.Distiller(net(), student, KLDivergence(2.0), augmentation=hidden)
    distiller.compile("sgd", sparse_crossentropy())
    distiller.fit(IDS, LENGTHS % 3, batch_size=200, verbose=0)
    moved = np.abs(student.get_layer("embedding").get_weights()[0] - before).max(axis=1) > 0
    assert np.flatnonzero(moved).tolist() == [1]  # no word but the unknown one was seen


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: WordMask(1.5), ValueError, "`rate` must be a finite number in"),
        (lambda: WordReplacement(2), ValueError, "`vocabulary_size` must be an integer >= 3"),
        (lambda: TokenPolicy([MixUp()]), TypeError, "must hold token layers"),
        (lambda: WordMask()(tf.zeros((2, 4)), step=0), ValueError, "takes ids of words"),
        (lambda: TokenPolicy([])(tf.zeros((2, 4, 1), "int32")), ValueError, "takes ids of words"),
    ],
)
def test_what_is_no_text_or_no_layer_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()
