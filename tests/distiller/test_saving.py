"""`.keras` files: a loaded distiller is compiled, and goes on as the unbroken run does."""

import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest

import kd_keras
from kd_keras.losses import KLDivergence, ProbabilityMSE
from tests.conftest import sparse_crossentropy


def make(make_net, **kwargs):
    feature = keras.distillation.FeatureDistillation("mse", "relu", "relu")
    distiller = kd_keras.Distiller(
        make_net(4, "t"),
        make_net(4, "s", dropout=0.5),
        [KLDivergence(2.0), ProbabilityMSE(3.0), feature],
        [1.0, 0.5, 0.1],
        0.3,
        **kwargs,
    )
    distiller.compile(
        keras.optimizers.SGD(0.1, momentum=0.9), sparse_crossentropy(), metrics=["accuracy"]
    )
    return distiller


def test_the_next_epoch_of_a_loaded_distiller_equals_the_unbroken_runs(make_net, images, tmp_path):
    x, y = images
    unbroken = make(make_net, combine="convex")
    unbroken.fit(x, y, batch_size=8, shuffle=False, epochs=2, verbose=0)
    unbroken.save(tmp_path / "distiller.keras")
    loaded = keras.models.load_model(tmp_path / "distiller.keras")
    assert isinstance(loaded, kd_keras.Distiller)
    assert loaded.compiled
    assert int(loaded.step) == 10
    assert not loaded.teacher.trainable
    assert loaded.distillation_loss_weights == [1.0, 0.5, 0.1]
    assert loaded.student_loss_weight == 0.3
    assert loaded.evaluate(x, y, verbose=0) == unbroken.evaluate(x, y, verbose=0)
    histories = [
        model.fit(x, y, batch_size=8, shuffle=False, verbose=0).history
        for model in (unbroken, loaded)
    ]
    assert histories[0] == histories[1]  # momentum, Dropout's random state and step came back
    for a, b in zip(unbroken.student.variables, loaded.student.variables, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_a_fresh_process_needs_only_the_import(make_net, images, tmp_path):
    x, y = images
    distiller = make(make_net)
    distiller.fit(x, y, batch_size=8, verbose=0)
    distiller.save(tmp_path / "distiller.keras")
    expected = distiller.evaluate(x, y, verbose=0, return_dict=True)["loss"]
    np.savez(tmp_path / "data.npz", x=x, y=y)
    script = textwrap.dedent(
        f"""
        import kd_keras, keras, numpy as np
        data = np.load(r"{tmp_path / "data.npz"}")
        loaded = keras.models.load_model(r"{tmp_path / "distiller.keras"}")
        print("LOSS", loaded.evaluate(data["x"], data["y"], verbose=0, return_dict=True)["loss"])
        loaded.fit(data["x"], data["y"], verbose=0)
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    loss = float(done.stdout.split("LOSS")[1])
    assert loss == pytest.approx(expected, rel=1e-6)


def test_the_student_alone_is_checkpointed_by_one_callback(make_net, images, tmp_path):
    distiller = make(make_net)
    path = tmp_path / "student.keras"
    save = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: distiller.student.save(path)
    )
    distiller.fit(*images, verbose=0, callbacks=[save])
    student = keras.models.load_model(path)
    np.testing.assert_allclose(student(images[0]), distiller.student(images[0]), rtol=1e-5)
    assert len(student.weights) == len(distiller.student.weights)


def test_backup_and_restore_brings_back_step_and_weights(make_net, images, tmp_path):
    x, y = images

    class Stop(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    def backup():
        return keras.callbacks.BackupAndRestore(tmp_path / "backup")

    keras.utils.set_random_seed(1)
    first = make(make_net)
    with pytest.raises(KeyboardInterrupt):
        first.fit(x, y, batch_size=8, epochs=3, verbose=0, callbacks=[backup(), Stop()])
    again = make(make_net)
    again.fit(x, y, batch_size=8, epochs=3, verbose=0, callbacks=[backup()])
    assert int(again.step) == 15


def test_an_augmentation_that_cannot_be_saved_warns_and_the_rest_is_saved(
    make_net, images, tmp_path
):
    distiller = make(make_net, augmentation=lambda x: x)
    with pytest.warns(UserWarning, match="cannot be saved.*register_keras_serializable"):
        distiller.save(tmp_path / "distiller.keras")
    loaded = keras.models.load_model(tmp_path / "distiller.keras")
    assert loaded.augmentation is None
    np.testing.assert_array_equal(loaded(images[0]), distiller(images[0]))


def test_a_layer_as_augmentation_is_saved(make_net, images, tmp_path):
    distiller = make(make_net, augmentation=[keras.layers.RandomFlip(seed=3)])
    distiller.fit(*images, verbose=0)
    distiller.save(tmp_path / "distiller.keras")
    loaded = keras.models.load_model(tmp_path / "distiller.keras")
    assert isinstance(loaded.augmentation[0], keras.layers.RandomFlip)
    # The augmentation is no part of the model: it has no weights in it.
    assert not any("flip" in variable.path for variable in loaded.variables)
