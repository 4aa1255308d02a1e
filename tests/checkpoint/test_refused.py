"""Checkpoints that do not fit, or are damaged, are refused before a step is trained."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kd_keras
from kd_keras import Checkpoint
from tests.checkpoint.conftest import STEPS, fit
from tests.conftest import sparse_crossentropy


def net(width=4, layers=1):
    hidden = [keras.layers.Dense(width) for _ in range(layers)]
    return keras.Sequential(
        [keras.Input((6, 6, 1)), keras.layers.Flatten(), *hidden, keras.layers.Dense(3)]
    )


def compiled(network, optimizer="sgd", **options):
    network.compile(optimizer, sparse_crossentropy(), **options)
    return network


@pytest.fixture
def path(training, tmp_path):
    """A checkpoint of one epoch of a small network."""
    fit(compiled(net()), Checkpoint(tmp_path / "c.npz"), training, epochs=1)
    return tmp_path / "c.npz"


def refused(model, path, training, match, **options):
    whole, before = path.read_bytes(), model.get_weights()
    with pytest.raises(ValueError, match=match) as caught:
        fit(model, Checkpoint(path), training, epochs=2, **options)
    assert path.read_bytes() == whole
    for mine, theirs in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert str(path) in str(caught.value)
    assert "delete the file or choose another `path`" in str(caught.value)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: compiled(net(width=5)), r"kernel' of shape \(36, 4\).* there.*\(36, 5\).* here"),
        (lambda: compiled(net(layers=2)), r"kernel' of shape \(4, 3\).* there.*\(4, 4\).* here"),
        (lambda: compiled(net(layers=0)), r"\(36, 4\).* there.*\(36, 3\).* here"),
        (lambda: compiled(net(), "adam"), "the optimizer is SGD there and Adam here"),
        (
            lambda: compiled(net(), keras.optimizers.SGD(0.01, momentum=0.9)),
            "the optimizer has 2 variables there and 6 here",
        ),
    ],
)
def test_what_has_no_counterpart_is_named(path, training, make, match):
    refused(make(), path, training, match)


def test_another_length_of_an_epoch_is_refused(path, training):
    # A function whose epochs nobody knows, as `replay.training` in a lambda.
    def stream(first):
        return training(first)

    refused(compiled(net()), path, stream, "5 steps there and 4 here", steps_per_epoch=4)


@pytest.mark.parametrize("steps", [4, 6])
def test_epochs_that_would_begin_elsewhere_after_a_restart_are_refused(training, tmp_path, steps):
    with pytest.raises(ValueError, match=f"steps_per_epoch={steps}, and data of 5"):
        fit(compiled(net()), Checkpoint(tmp_path / "c.npz"), training, steps_per_epoch=steps)


@pytest.mark.parametrize(("steps", "found"), [(4, "at least 5"), (6, "only 5")])
def test_epochs_of_another_length_than_was_said_are_an_error(images, tmp_path, steps, found):
    unknown = tf.data.Dataset.from_tensor_slices(images).batch(8).filter(lambda x, y: True)
    checkpoint = Checkpoint(tmp_path / "c.npz")
    with pytest.raises(ValueError, match="`steps_per_epoch` must be the number of batches.*-2"):
        checkpoint.epochs(lambda epoch: unknown)
    model = compiled(kd_keras.Supervised(net()))
    with pytest.raises(kd_keras.UnreadableDataError, match=f"contain {steps}.*contained {found}"):
        model.fit(
            checkpoint.epochs(lambda epoch: unknown, steps),
            steps_per_epoch=steps,
            epochs=2,
            verbose=0,
            callbacks=[checkpoint],
        )


def test_the_same_model_made_again_in_the_same_process_is_not_refused(path, training):
    model = compiled(net())
    assert "_" in model.layers[-1].path  # Keras numbered its names
    assert len(fit(model, Checkpoint(path), training, epochs=2).epoch) == 2


def test_another_teacher_is_refused(make_net, training, tmp_path):
    def distiller(width):
        model = kd_keras.Distiller(make_net(width), net(), kd_keras.losses.KLDivergence(2.0))
        return compiled(model)

    path = tmp_path / "c.npz"
    fit(distiller(3), Checkpoint(path), training, epochs=1)
    refused(distiller(3), path, training, "the teacher had other weights")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_refused(path, training, share):
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    refused(compiled(net()), path, training, "The checkpoint is damaged")


def test_a_file_with_a_changed_byte_is_refused(path, training):
    content = bytearray(path.read_bytes())
    content[200] ^= 255  # among the values of the first variable
    path.write_bytes(content)
    refused(compiled(net()), path, training, "The checkpoint is damaged")


def test_the_file_of_an_earlier_version_is_refused(path, training):
    np.savez(path, variable_0=np.zeros(3), history=np.array("[]"))
    refused(compiled(net()), path, training, "no checkpoint that this version")


def test_steps_in_the_middle_of_an_execution_are_refused(training, tmp_path):
    path = tmp_path / "c.npz"
    fit(compiled(net()), Checkpoint(path, 1), training, die=(0, 3))
    model = compiled(net(), steps_per_execution=2)
    refused(model, path, training, "3 steps of an epoch are done.*`steps_per_execution`, 2")


def test_data_that_do_not_come_from_the_checkpoint_are_refused(images, training, tmp_path):
    model, checkpoint = compiled(net()), Checkpoint(tmp_path / "c.npz")
    with pytest.raises(ValueError, match="checkpoint.batches.*Received: other data"):
        model.fit(*images, verbose=0, callbacks=[checkpoint])
    with pytest.raises(ValueError, match=r"Received: other data"):
        model.fit(training(0), steps_per_epoch=STEPS, verbose=0, callbacks=[checkpoint])
    assert int(model.optimizer.iterations) == 0
    assert not (tmp_path / "c.npz").exists()


def test_data_of_an_earlier_fit_are_refused(training, tmp_path):
    model, checkpoint = compiled(net()), Checkpoint(tmp_path / "c.npz")
    batches = checkpoint.batches(training)
    options = {"steps_per_epoch": STEPS, "verbose": 0, "callbacks": [checkpoint]}
    model.fit(batches, epochs=1, **options)
    with pytest.raises(ValueError, match=r"anew for each `fit`.*\(0, 0\) on.*at \(1, 0\)"):
        model.fit(batches, epochs=2, **options)


def test_data_of_one_epoch_are_refused(images, training, tmp_path):
    one = tf.data.Dataset.from_tensor_slices(images).batch(8)
    with pytest.raises(ValueError, match="Received: 5 batches for 10 steps"):
        fit(compiled(net()), Checkpoint(tmp_path / "c.npz"), lambda first: one, epochs=2)
    # Where TensorFlow cannot tell, the end is an error, and the first epoch is kept.
    unknown = one.filter(lambda x, y: True)
    with pytest.raises(kd_keras.UnreadableDataError, match="infinite.*but contained only 5"):
        supervised = compiled(kd_keras.Supervised(net()))
        fit(supervised, Checkpoint(tmp_path / "c.npz"), lambda first: unknown, epochs=2)
    assert len(Checkpoint(tmp_path / "c.npz").history) == 1


def test_an_initial_epoch_is_refused(training, tmp_path):
    with pytest.raises(ValueError, match="`initial_epoch` must be left out"):
        fit(compiled(net()), Checkpoint(tmp_path / "c.npz"), training, initial_epoch=1)


@pytest.mark.parametrize("every_steps", [0, -1, 1.5, True, "2"])
def test_a_wrong_number_of_steps_is_refused(every_steps):
    with pytest.raises(ValueError, match="`every_steps` must be an integer >= 1.*None"):
        Checkpoint("c.npz", every_steps)


def test_what_is_no_path_or_function_is_refused(training, tmp_path):
    with pytest.raises(TypeError, match="`path` must be the path of a file"):
        Checkpoint(3)
    with pytest.raises(TypeError, match="`training` must be a function.*_?Dataset"):
        Checkpoint("c.npz").batches(training(0))
    with pytest.raises(TypeError, match="returned ndarray"):
        Checkpoint("c.npz").batches(lambda first: np.zeros(3))
    with pytest.raises(TypeError, match="`of_epoch` must be a function of the epoch"):
        Checkpoint("c.npz").epochs(training(0))
    with pytest.raises(ValueError, match="it is a folder"):
        fit(compiled(net()), Checkpoint(tmp_path), training)
