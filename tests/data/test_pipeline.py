"""Order, size and type of batches; the order is a function of (seed, epoch) and nothing else."""

import hashlib
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

import kd_keras

STEPS = 10  # 1,197 examples in batches of 128


def order(batches):
    return [hashlib.md5(x.tobytes()).hexdigest() for x, _ in batches.as_numpy_iterator()]


def examples(batches):
    return np.concatenate([x for x, _ in batches.as_numpy_iterator()])


@pytest.fixture(scope="module", params=[None, False], ids=["cached", "streamed"])
def splits(digits_dir, request):
    """One loaded dataset for all tests that do not count the iterations over `train`."""
    return kd_keras.data.load("digits", data_dir=digits_dir, seed=5, cache=request.param)


def test_elements_are_uint8_images_and_int64_labels(splits):
    for part in (splits.train, splits.training(), splits.validation, splits.test):
        x, y = part.element_spec
        assert (x.dtype, y.dtype) == (tf.uint8, tf.int64)
        assert x.shape.as_list() == [None, 8, 8, 1]
        assert y.shape.as_list() == [None]


def test_every_epoch_has_every_example_once_and_keeps_the_partial_batch(splits):
    sizes = [len(y) for _, y in splits.train.as_numpy_iterator()]
    assert sizes == [128] * 9 + [45]
    assert splits.steps_per_epoch == len(splits.train) == STEPS
    images = {image.tobytes() for image in examples(splits.train)}
    assert len(images) == 1197


@pytest.mark.parametrize("cache", [None, False], ids=["cached", "streamed"])
def test_the_jth_iteration_over_train_is_epoch_j_of_an_unbroken_run(digits, cache):
    splits = digits(seed=5, cache=cache)
    unbroken = order(splits.training().take(3 * STEPS))
    epochs = [unbroken[:STEPS], unbroken[STEPS : 2 * STEPS], unbroken[2 * STEPS :]]
    assert [order(splits.train) for _ in range(3)] == epochs
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_a_stream_begun_at_epoch_k_goes_on_as_the_unbroken_run_does(splits):
    unbroken = order(splits.training().take(4 * STEPS))
    resumed = splits.training(first_epoch=2)
    assert order(resumed.take(2 * STEPS)) == unbroken[2 * STEPS :]
    assert order(resumed.take(2 * STEPS)) == unbroken[2 * STEPS :]  # a new iteration starts over


def test_a_stream_begun_within_an_epoch_goes_on_as_the_unbroken_run_does(splits):
    unbroken = order(splits.training().take(4 * STEPS))
    for step in (1, STEPS - 1):
        resumed = splits.training(first_epoch=1, first_step=step)
        assert order(resumed.take(3 * STEPS - step)) == unbroken[STEPS + step :]


@pytest.mark.parametrize("first_step", [-1, STEPS, 1.5, True, None])
def test_a_step_that_is_none_of_an_epoch_is_refused(splits, first_step):
    with pytest.raises(ValueError, match="`first_step` must be .* from 0 to 9.*steps_per_epoch=10"):
        splits.training(first_step=first_step)


def test_the_step_of_a_distiller_gets_bytes(splits):
    """What travels to the device is uint8; it becomes float there, in the augmentation or later."""
    seen = []

    def look(images):
        seen.append(images.dtype)
        return images

    def net():
        return keras.Sequential(
            [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10)]
        )

    distiller = kd_keras.Distiller(
        net(), net(), kd_keras.losses.KLDivergence(4.0), augmentation=look
    )
    distiller.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    distiller.fit(splits.training(), steps_per_epoch=2, verbose=0)
    assert set(seen) == {tf.uint8}


def test_the_global_seed_does_not_reach_the_order_and_is_not_touched(digits):
    orders, draws = [], []
    for _ in range(2):
        keras.utils.set_random_seed(7)
        splits = digits(seed=5)
        orders.append(order(splits.train))
        draws.append(float(tf.random.uniform(())))
    keras.utils.set_random_seed(8)
    assert orders[0] == orders[1] == order(digits(seed=5).train)
    keras.utils.set_random_seed(7)
    assert draws[0] == draws[1] == float(tf.random.uniform(()))


def test_another_seed_gives_another_order_of_the_same_examples(digits):
    first, second = digits(seed=1), digits(seed=2)
    assert order(first.train) != order(second.train)
    assert {i.tobytes() for i in examples(first.train)} == {
        i.tobytes() for i in examples(second.train)
    }


def test_validation_and_test_keep_their_order_and_their_last_batch(splits):
    for part in (splits.validation, splits.test):
        assert order(part) == order(part)
        assert [len(y) for _, y in part.as_numpy_iterator()] == [128, 128, 44]
        assert len(part) == 3


def test_the_same_images_come_cached_and_streamed(digits):
    cached, streamed = digits(cache=True), digits(cache=False)
    assert order(cached.test) == order(streamed.test)
    assert sorted(i.tobytes() for i in examples(cached.train)) == sorted(
        i.tobytes() for i in examples(streamed.train)
    )


@pytest.fixture
def decoded(monkeypatch):
    """How many images have been decoded since."""
    from kd_keras.data.source import ImageSource

    count = tf.Variable(0)
    whole = ImageSource.decode

    def counted(source, encoded, label):
        count.assign_add(1)
        return whole(source, encoded, label)

    monkeypatch.setattr(ImageSource, "decode", counted)
    return count


def test_a_cached_image_is_decoded_once_over_all_epochs(digits, decoded):
    splits = digits(cache=True)
    for _ in splits.training().take(3 * STEPS):
        pass
    for _ in splits.train:
        pass
    assert int(decoded) == 1197


def test_a_stream_is_ahead_by_as_much_as_an_epoch_reads_before_its_first_batch(digits, decoded):
    stream = digits(cache=False).training()
    next(iterator := iter(stream))
    # One batch was taken, and without more being asked for the next epoch has begun.
    deadline = time.monotonic() + 30
    while int(decoded) <= 1197 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert 1197 < int(decoded) < 3 * 1197
    del iterator


def test_what_is_ready_ahead_is_bounded_in_bytes(digits, monkeypatch):
    from kd_keras.data import pipeline
    from kd_keras.data.pipeline import Pipeline

    made = []
    training = Pipeline.training
    monkeypatch.setattr(
        Pipeline, "training", lambda self, *args: made.append(self) or training(self, *args)
    )
    digits(cache=False), digits(cache=True), digits(cache=False, batch_size=2000)
    assert [each.batches_ahead for each in made] == [10, tf.data.AUTOTUNE, 2]
    monkeypatch.setattr(pipeline, "_AHEAD_BYTES", 5 * 128 * 8 * 8)
    assert made[0].batches_ahead == 5
    monkeypatch.setattr(pipeline, "_SHUFFLE_WINDOW", 300)
    assert made[0].batches_ahead == 3


def test_limit_takes_the_first_training_examples_and_leaves_the_other_splits(digits):
    splits = digits(limit=100, batch_size=64)
    assert (splits.steps_per_epoch, splits.info.train_examples) == (2, 100)
    images = {image.tobytes() for image in examples(splits.train)}
    assert len(images) == 100
    assert images == {image.tobytes() for image in examples(digits(limit=100).training().take(1))}
    assert splits.info.validation_examples == splits.info.test_examples == 300
    assert digits(limit=5000).info.train_examples == 1197


def test_drop_remainder_leaves_out_the_partial_batch_of_training_alone(digits):
    splits = digits(drop_remainder=True)
    assert [len(y) for _, y in splits.train.as_numpy_iterator()] == [128] * 9
    assert splits.steps_per_epoch == 9
    assert sum(len(y) for _, y in splits.test.as_numpy_iterator()) == 300
    with pytest.raises(ValueError, match=r"no training batch.*batch_size=2000 for 1197"):
        digits(drop_remainder=True, batch_size=2000)


def test_fit_on_the_stream_is_fit_on_train(digits):
    def history(data, **options):
        model = kd_keras.models.mlp((8, 8, 1), 10, hidden=(16,), seed=1)
        model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        return model.fit(data, epochs=2, verbose=0, **options).history

    splits = digits()
    streamed = history(splits.training(), steps_per_epoch=splits.steps_per_epoch)
    assert history(splits.train) == streamed


@pytest.mark.parametrize("first_epoch", [-1, 1.0, True, None])
def test_a_first_epoch_that_is_no_epoch_is_refused(splits, first_epoch):
    with pytest.raises(ValueError, match="`first_epoch`.*Received"):
        splits.training(first_epoch=first_epoch)
