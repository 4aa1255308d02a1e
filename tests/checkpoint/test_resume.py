"""What goes on behind a checkpoint ends as what was never broken, bit for bit."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kd_keras
from kd_keras import Checkpoint
from kd_keras.checkpoint.data import Epochs
from tests.checkpoint.conftest import STEPS, Died, assert_same, fit, state_of
from tests.conftest import sparse_crossentropy


def start(make_model, kind, **options):
    keras.utils.set_random_seed(3)
    return make_model(kind, **options)


@pytest.fixture(scope="module")
def unbroken():
    """Models and histories of unbroken runs, by kind, each made once."""
    return {}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "every_steps", "deaths"),
    [
        ("distiller", None, [(1, 0), (2, 3)]),
        ("distiller", 1, [(0, 0), (2, 4), (3, 0)]),
        ("supervised", 2, [(1, 3)]),
        ("plain", 3, [(0, 1), (0, 4), (2, 3), (2, 3)]),
    ],
)
def test_a_run_that_dies_again_and_again_ends_as_the_unbroken_one(
    make_model, training, unbroken, tmp_path, kind, every_steps, deaths
):
    if kind not in unbroken:
        model = start(make_model, kind)
        unbroken[kind] = model, fit(model, None, training)
    whole, expected = unbroken[kind]
    assert len(expected.history["loss"]) == 4
    path = tmp_path / "run" / "checkpoint.npz"
    for death in deaths:
        # Only what finds no file needs the seed of the unbroken run.
        model = make_model(kind) if path.exists() else start(make_model, kind)
        fit(model, Checkpoint(path, every_steps), training, die=death)
    model = make_model(kind)
    history = fit(model, Checkpoint(path, every_steps), training)
    assert_same(model, history, whole, expected)
    assert [entry.name for entry in path.parent.iterdir()] == ["checkpoint.npz"]


@pytest.mark.slow
def test_a_finished_run_comes_back_without_training(make_model, training, tmp_path):
    path = tmp_path / "checkpoint.npz"
    first = make_model("distiller")
    expected = fit(first, Checkpoint(path), training, epochs=1)
    again = make_model("distiller")
    history = fit(again, Checkpoint(path), training, epochs=1)
    assert_same(again, history, first, expected)
    # More epochs go on from there.
    assert len(fit(again, Checkpoint(path), training, epochs=2).history["loss"]) == 2
    assert int(again.step) == 2 * STEPS


def test_with_the_checkpoint_training_is_as_without_it(make_model, training, tmp_path):
    without, beside = start(make_model, "plain"), start(make_model, "plain")
    expected = fit(without, None, training, epochs=2)
    history = fit(beside, Checkpoint(tmp_path / "c.npz", every_steps=1), training, epochs=2)
    assert_same(beside, history, without, expected)


@pytest.mark.slow
def test_several_steps_in_one_execution_and_validation(make_model, images, tmp_path):
    def compiled():
        model = make_model("plain")
        model.compile(keras.optimizers.Adam(0.01), sparse_crossentropy(), steps_per_execution=2)
        return model

    examples = tf.data.Dataset.from_tensor_slices(images)
    training = Epochs(lambda epoch: examples.shuffle(40, seed=epoch).batch(8).take(4)).training
    options = {"steps_per_epoch": 4, "validation_data": images, "validation_freq": 2}
    path = tmp_path / "c.npz"
    keras.utils.set_random_seed(3)
    unbroken = compiled()
    expected = fit(unbroken, None, training, **options)
    keras.utils.set_random_seed(3)
    fit(compiled(), Checkpoint(path, 1), training, die=(1, 2), **options)
    model = compiled()
    history = fit(model, Checkpoint(path, 1), training, **options)
    assert_same(model, history, unbroken, expected)
    assert len(history.history["val_loss"]) == 2


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["float16", "memory and feedback", "bfloat16"])
def test_state_of_other_kinds_comes_back_too(make_net, images, tmp_path, kind):
    x, y = images
    remembers = kind == "memory and feedback"
    inputs = {"images": x, "sample_index": np.arange(len(x))} if remembers else x
    examples = tf.data.Dataset.from_tensor_slices((inputs, y))
    training = Epochs(lambda epoch: examples.shuffle(40, seed=epoch).batch(8)).training
    keras.utils.set_random_seed(11)
    teacher = make_net(4, "teacher")

    def make():
        losses, views, optimizer = kd_keras.losses.KLDivergence(2.0), None, "adam"
        if remembers:
            losses = [losses, kd_keras.losses.ContrastiveRepresentation(40, "pool", "pool")]
            changes = {"none": None, "noise": kd_keras.augment.GaussianNoise(0.1)}
            views = kd_keras.augment.Feedback(changes, before=[], seed=2)
        if kind == "float16":
            keras.config.set_dtype_policy("mixed_float16")
            # It overflows at once, so that the scale moves.
            optimizer = keras.optimizers.LossScaleOptimizer(
                keras.optimizers.SGD(0.05, momentum=0.9), initial_scale=2.0**24
            )
        if kind == "bfloat16":
            keras.config.set_dtype_policy("bfloat16")
        student = make_net(4, "student", dropout=0.3)
        keras.config.set_dtype_policy("float32")
        distiller = kd_keras.Distiller(teacher, student, losses, augmentation=views)
        distiller.compile(optimizer, sparse_crossentropy())
        return distiller

    path = tmp_path / "c.npz"
    keras.utils.set_random_seed(3)
    unbroken = make()
    expected = fit(unbroken, None, training, epochs=2)
    keras.utils.set_random_seed(3)
    fit(make(), Checkpoint(path, 1), training, epochs=2, die=(1, 2))
    model = make()
    history = fit(model, Checkpoint(path, 1), training, epochs=2)
    assert_same(model, history, unbroken, expected)
    trained = [v for v in model.variables if "teacher" not in v.path]
    for mine, theirs in zip(
        trained, [v for v in unbroken.variables if "teacher" not in v.path], strict=True
    ):
        np.testing.assert_array_equal(np.asarray(mine), np.asarray(theirs))


def test_a_run_that_a_callback_stopped_stays_stopped(make_model, training, tmp_path):
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = epoch == 1

    def run(model):
        checkpoint = Checkpoint(tmp_path / "c.npz")
        return model.fit(
            checkpoint.batches(training),
            steps_per_epoch=STEPS,
            epochs=9,
            verbose=0,
            callbacks=[Stop(), checkpoint],
        )

    first, again = make_model("plain"), make_model("plain")
    expected = run(first)
    assert expected.epoch == [0, 1]
    assert_same(again, run(again), first, expected)


@pytest.mark.slow
def test_a_teacher_that_moves_is_part_of_the_checkpoint(make_net, training, tmp_path):
    class Follow(keras.callbacks.Callback):
        """A teacher that is the mean of what the student was."""

        def on_epoch_end(self, epoch, logs=None):
            weights = zip(self.model.teacher.weights, self.model.student.weights, strict=True)
            for teacher, student in weights:
                teacher.assign(0.5 * teacher + 0.5 * student)

    def run(die=None):
        # With "auto" each process finds out for itself that the teacher moves, and until then has
        # answers that are rounded another way.
        model = kd_keras.Distiller(
            make_net(4, "t"),
            make_net(4, "s"),
            kd_keras.losses.KLDivergence(2.0),
            teacher_inference="keras",
        )
        model.compile("sgd", sparse_crossentropy())
        checkpoint = Checkpoint(path)

        class Die(keras.callbacks.Callback):
            def on_epoch_begin(self, epoch, logs=None):
                if epoch == die:
                    raise Died

        try:
            history = model.fit(
                checkpoint.batches(training),
                steps_per_epoch=STEPS,
                epochs=4,
                verbose=0,
                callbacks=[Follow(), checkpoint, Die()],
            )
        except Died:
            return None
        return model, history

    path = tmp_path / "unbroken.npz"
    keras.utils.set_random_seed(3)
    unbroken, expected = run()
    path = tmp_path / "broken.npz"
    keras.utils.set_random_seed(3)
    assert run(die=2) is None
    model, history = run()
    assert_same(model, history, unbroken, expected)
    for mine, theirs in zip(model.teacher.weights, unbroken.teacher.weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_the_batches_begin_where_the_checkpoint_stands(make_model, training, tmp_path):
    path = tmp_path / "c.npz"
    asked = []

    def stream(first_epoch, first_step=0):
        asked.append((first_epoch, first_step))
        return training(first_epoch).skip(first_step)

    fit(make_model("plain"), Checkpoint(path, 1), training, die=(1, 3))
    whole = training(0)
    for function in (training, stream):
        batches = Checkpoint(path).batches(function)
        for mine, theirs in zip(batches.take(4), whole.skip(STEPS + 3), strict=False):
            np.testing.assert_array_equal(mine[0], theirs[0])
    assert asked == [(1, 3)]
    of_epoch = tf.data.Dataset.range(40).shuffle(40, seed=1).batch(8)
    assert len(list(Checkpoint(path).epochs(lambda epoch: of_epoch).take(9))) == 9
    assert [len(Checkpoint(name).history) for name in (path, tmp_path / "none.npz")] == [1, 0]


def test_memory_of_the_model_object_is_as_after_the_unbroken_fit(make_model, training, tmp_path):
    path = tmp_path / "c.npz"
    fit(make_model("plain"), Checkpoint(path, 1), training, die=(1, 3))
    model = make_model("plain")
    fit(model, Checkpoint(path), training, epochs=2)
    step = int(model.optimizer.iterations)
    assert step == 2 * STEPS
    # Without the callback nothing of it is left: a fit begins at epoch 0 and trains every step.
    history = fit(model, None, training, epochs=1)
    assert history.epoch == [0]
    assert int(model.optimizer.iterations) == step + STEPS
    assert state_of(model)
