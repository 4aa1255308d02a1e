"""A full disk, data that cannot be read, a NaN: a clear error, and the last good state is kept."""

import errno
import functools
import pathlib

import keras
import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

import kd_keras
from kd_keras import Checkpoint
from kd_keras.checkpoint import file as checkpoint_file
from tests.checkpoint.conftest import assert_same, fit, state_of
from tests.conftest import sparse_crossentropy


@pytest.mark.skipif(not pathlib.Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_leaves_the_checkpoint_and_the_model(
    make_model, training, tmp_path, monkeypatch
):
    path = tmp_path / "c.npz"
    keras.utils.set_random_seed(3)
    unbroken = make_model("plain")
    expected = fit(unbroken, None, training, epochs=3)
    keras.utils.set_random_seed(3)
    model = make_model("plain")
    fit(model, Checkpoint(path), training, epochs=1)
    whole = path.read_bytes()
    with monkeypatch.context() as patch:
        # The system itself says that there is no room: for what is written, not for what is read.
        full = functools.partial(open, "/dev/full")
        patch.setattr(checkpoint_file, "open", lambda _, mode: full(mode), raising=False)
        with pytest.raises(OSError, match="No space left on device") as caught:
            fit(model, Checkpoint(path), training, epochs=3)
    assert caught.value.errno == errno.ENOSPC
    for said in (
        str(path),
        "of 2 complete epochs cannot",
        "of 1 complete epochs is intact",
        "It needs at least ",
        "Make room",
        "do the same again",
    ):
        assert said in str(caught.value)
    assert path.read_bytes() == whole
    assert [entry.name for entry in tmp_path.iterdir()] == ["c.npz"]
    assert int(model.optimizer.iterations) == 10
    # With room again the same call goes on.
    assert_same(model, fit(model, Checkpoint(path), training, epochs=3), unbroken, expected)


def test_a_folder_that_cannot_be_made_is_known_before_a_step_is_trained(
    make_model, training, tmp_path
):
    (tmp_path / "file").write_text("in the way")
    model = make_model("plain")
    with pytest.raises(ValueError, match="folder of `path` cannot be created"):
        fit(model, Checkpoint(tmp_path / "file" / "c.npz"), training)
    assert int(model.optimizer.iterations) == 0


def test_what_killed_processes_left_unfinished_is_removed(make_model, training, tmp_path):
    (tmp_path / ".partial-1-0a-c.npz").write_bytes(b"half")
    (tmp_path / ".partial-1-0a-other.npz").write_bytes(b"not ours")
    fit(make_model("plain"), Checkpoint(tmp_path / "c.npz"), training, epochs=1)
    assert {entry.name for entry in tmp_path.iterdir()} == {"c.npz", ".partial-1-0a-other.npz"}


def small_distiller(seed, side=4):
    def net():
        return keras.Sequential(
            [keras.Input((side, side, 1)), keras.layers.Flatten(), keras.layers.Dense(3)]
        )

    keras.utils.set_random_seed(11)
    teacher = net()
    keras.utils.set_random_seed(seed)
    distiller = kd_keras.Distiller(teacher, net(), kd_keras.losses.KLDivergence(2.0))
    distiller.compile(keras.optimizers.SGD(0.05, momentum=0.9), sparse_crossentropy())
    return distiller


def write_records(path, first):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for number in range(first, first + 20):
            writer.write(np.full(16, number, "uint8").tobytes())


def write_pictures(folder):
    for number in range(40):
        PIL.Image.fromarray(np.full((4, 4), number, "uint8")).save(folder / f"{number:02}.png")


def from_records(folder):
    def decode(record):
        return tf.reshape(tf.io.decode_raw(record, tf.uint8), (4, 4, 1)), 1

    files = [str(folder / name) for name in ("a.tfrecord", "b.tfrecord")]
    return lambda first: tf.data.TFRecordDataset(files).map(decode).batch(8).repeat()


def from_pictures(folder):
    def decode(name):
        return tf.ensure_shape(tf.io.decode_png(tf.io.read_file(name)), (4, 4, 1)), 1

    names = [str(folder / f"{number:02}.png") for number in range(40)]
    images = tf.data.Dataset.from_tensor_slices(names)
    return lambda first: images.map(decode).batch(8).repeat()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("corrupt record", ["DataLossError", "corrupted record", "does not say which file"]),
        ("missing shard", ["NotFoundError", "b.tfrecord", "No such file"]),
        ("missing picture", ["NotFoundError", "30.png", "No such file"]),
        ("no picture", ["Unknown image file format", "does not say which file"]),
    ],
)
def test_data_that_cannot_be_read_stop_at_the_last_good_step(tmp_path, fault, says):
    folder = tmp_path / "data"
    folder.mkdir()
    write_pictures(folder)
    write_records(folder / "a.tfrecord", 0)
    write_records(folder / "b.tfrecord", 20)
    training = from_pictures(folder) if "picture" in fault else from_records(folder)
    broken = folder / ("30.png" if "picture" in fault else "b.tfrecord")  # of the fourth batch
    good = broken.read_bytes()

    unbroken = small_distiller(seed=3)
    expected = fit(unbroken, None, training, epochs=1)
    if fault == "corrupt record":
        # Of 32 bytes each: length, its checksum, 16 of data, their checksum.
        broken.write_bytes(good[:340] + b"\xff" + good[341:])
    elif fault == "no picture":
        broken.write_bytes(b"no picture")
    else:
        broken.unlink()
    model, path = small_distiller(seed=3), tmp_path / "c.npz"
    with pytest.raises(kd_keras.UnreadableDataError) as caught:
        fit(model, Checkpoint(path, every_steps=1), training, epochs=1)
    for said in (*says, "last complete step", "call `fit` again"):
        assert said in str(caught.value)
    assert "Traceback" not in str(caught.value)
    assert "node" not in str(caught.value)
    # The third batch has its last images from the second shard.
    assert int(model.step) == (2 if fault == "missing shard" else 3)
    assert all(np.isfinite(values).all() for values in state_of(model))

    broken.write_bytes(good)
    again = small_distiller(seed=4)
    history = fit(again, Checkpoint(path, every_steps=1), training, epochs=1)
    assert_same(again, history, unbroken, expected)


@pytest.mark.parametrize("options", [{}, {"run_eagerly": True}], ids=["graph", "eager"])
def test_what_a_generator_raises_is_said_too(options):
    def batches():
        yield np.ones((4, 16), "float32"), np.zeros(4, "int32")
        raise RuntimeError("the camera is gone")

    spec = (tf.TensorSpec((None, 16)), tf.TensorSpec((None,), tf.int32))
    data = tf.data.Dataset.from_generator(batches, output_signature=spec)
    network = keras.Sequential([keras.Input((16,)), keras.layers.Dense(3)])
    model = kd_keras.Supervised(network)
    model.compile("sgd", sparse_crossentropy(), **options)
    with pytest.raises(kd_keras.UnreadableDataError, match="RuntimeError: the camera is gone"):
        model.fit(data, verbose=0)
    assert int(model.step) == 1


def with_nan_in(training, epoch, step):
    def from_epoch(first):
        number = tf.data.Dataset.range(first * 5, 2**62)
        return tf.data.Dataset.zip(number, training(first)).map(
            lambda n, batch: (
                tf.where(n == epoch * 5 + step, np.nan, tf.cast(batch[0], tf.float32)),
                batch[1],
            )
        )

    return from_epoch


@pytest.mark.slow
@pytest.mark.parametrize(("every_steps", "step"), [(None, 0), (1, 3)])
def test_a_nan_leaves_the_last_good_state(training, tmp_path, every_steps, step):
    path = tmp_path / "c.npz"
    unbroken = small_distiller(3, side=6)
    expected = fit(unbroken, None, with_nan_in(training, -1, 0), epochs=2)
    model = small_distiller(3, side=6)
    with pytest.raises(kd_keras.NonFiniteLossError, match="last good step"):
        fit(model, Checkpoint(path, every_steps), with_nan_in(training, 1, 3), epochs=2)
    assert int(model.step) == 8
    assert all(np.isfinite(values).all() for values in state_of(model))
    header = checkpoint_file.CheckpointFile(path).header()
    assert (len(header.history), header.step) == (1, step)
    # With good data the same call goes on, with the same object.
    history = fit(model, Checkpoint(path, every_steps), with_nan_in(training, -1, 0), epochs=2)
    assert_same(model, history, unbroken, expected)


def test_weights_that_keras_let_become_nan_are_not_written(make_model, training, tmp_path):
    path = tmp_path / "c.npz"
    model = make_model("plain")
    fit(model, Checkpoint(path), training, epochs=1)
    whole = path.read_bytes()
    with pytest.raises(kd_keras.NonFiniteLossError, match="are not finite, so they are not writ"):
        fit(model, Checkpoint(path), with_nan_in(training, 1, 0), epochs=2)
    assert path.read_bytes() == whole
    fit(model, Checkpoint(path), training, epochs=2)
    assert all(np.isfinite(values).all() for values in state_of(model))
