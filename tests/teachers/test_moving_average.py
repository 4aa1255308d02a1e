"""The mean teacher: its average to the last bit, its statistics, its draws; saved and resumed."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kd_keras
from kd_keras.losses import Hint, InputGradient, KLDivergence, ProbabilityMSE
from kd_keras.teachers import Ensemble, MovingAverage
from tests.conftest import sparse_crossentropy


class Weights(keras.callbacks.Callback):
    """Note the student's weights behind each step."""

    def __init__(self):
        super().__init__()
        self.steps = []

    def on_train_batch_end(self, batch, logs=None):
        self.steps.append(self.model.student.get_weights())


def distilled(teacher, student, losses=None, **options):
    distiller = kd_keras.Distiller(teacher, student, losses or ProbabilityMSE(), **options)
    distiller.compile(keras.optimizers.SGD(0.5, momentum=0.9), sparse_crossentropy())
    return distiller


@pytest.mark.parametrize("warm_up", [True, False])
def test_the_average_is_that_of_a_loop_to_the_last_bit(make_mlp, rows, warm_up):
    student, noted = make_mlp("student"), Weights()
    expected = student.get_weights()
    teacher = MovingAverage(0.7, warm_up)
    distiller = distilled(teacher, student)
    distiller.fit(*rows, batch_size=3, epochs=2, callbacks=[noted], verbose=0)
    assert len(noted.steps) == 8
    one = np.float32(1)
    for step, weights in enumerate(noted.steps, start=1):
        share = np.float32(0.7)
        if warm_up:
            share = min(one - one / np.float32(step + 1), share)
        pairs = zip(expected, weights, strict=True)
        expected = [share * average + (one - share) * weight for average, weight in pairs]
    averaged = make_mlp("averaged")
    teacher.give_to(averaged)
    for found, value in zip(averaged.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(found, value)
    np.testing.assert_array_equal(averaged(rows[0]), teacher(rows[0]))


def with_statistics(seed=1, momentum=0.5, dropout=0.0):
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((5,)),
            keras.layers.Dense(4, name="hidden"),
            keras.layers.BatchNormalization(momentum=momentum),
            keras.layers.Dropout(dropout),
            keras.layers.Dense(3),
        ]
    )


def test_statistics_are_those_of_the_teachers_own_passes_over_its_batches(rows):
    """Not those of the student, and no average of them: of the averaged weights, as published."""
    student, noted, teacher = with_statistics(), Weights(), MovingAverage(0.5, warm_up=False)
    by_hand = with_statistics()
    distiller = distilled(teacher, student)
    distiller.fit(*rows, batch_size=4, shuffle=False, callbacks=[noted], verbose=0)
    for step, weights in enumerate(noted.steps):
        by_hand(rows[0][4 * step : 4 * step + 4], training=True)
        trained = {id(weight) for weight in by_hand.trainable_weights}
        for variable, weight in zip(by_hand.weights, weights, strict=True):
            if id(variable) in trained:
                variable.assign(0.5 * variable + 0.5 * weight)
    averaged = with_statistics()
    teacher.give_to(averaged)
    names = [weight.path for weight in averaged.weights]
    for name, found, value in zip(
        names, averaged.get_weights(), by_hand.get_weights(), strict=True
    ):
        np.testing.assert_allclose(found, value, rtol=1e-5, atol=1e-7, err_msg=name)
    mean = next(i for i, name in enumerate(names) if name.endswith("moving_mean"))
    assert not np.allclose(averaged.get_weights()[mean], student.get_weights()[mean])


def test_dropout_of_teacher_and_student_is_not_the_same(rows):
    """With no dropout and the student's own weights there is nothing to learn from the teacher."""
    for dropout, differs in ((0.0, False), (0.5, True)):
        distiller = distilled(MovingAverage(0.9), with_statistics(dropout=dropout))
        logs = distiller.fit(*rows, batch_size=12, verbose=0).history
        assert (logs["distillation_loss"][0] > 1e-4) == differs


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"jit_compile": True}, {"run_eagerly": True}])
def test_training_is_the_same_however_it_is_compiled(rows, fitted, options):
    """With a loss on its features and one on its gradient."""
    logs = []
    for how in ({}, options):
        student = with_statistics()
        losses = [ProbabilityMSE(), Hint("hidden", "hidden"), InputGradient()]
        logs.append(fitted(kd_keras.Distiller(MovingAverage(0.9), student, losses), rows, **how))
    for name, values in logs[0].items():
        np.testing.assert_allclose(logs[1][name], values, rtol=1e-3, atol=1e-6, err_msg=name)


def test_it_is_in_the_file_and_comes_back(rows, tmp_path):
    student = with_statistics(dropout=0.3)
    schedule = keras.optimizers.schedules.PolynomialDecay(0.5, 10, 0.9)
    distiller = distilled(MovingAverage(schedule), student)
    distiller.fit(*rows, batch_size=4, verbose=0)
    distiller.save(tmp_path / "distiller.keras")
    loaded = keras.models.load_model(tmp_path / "distiller.keras")
    expected = distiller.evaluate(*rows, verbose=0, return_dict=True)
    assert loaded.evaluate(*rows, verbose=0, return_dict=True) == pytest.approx(expected, rel=1e-5)
    # And moves on from there: not from the student anew.
    assert int(loaded.teacher.updates) == 3
    for model in (distiller, loaded):
        keras.utils.set_random_seed(4)
        model.fit(*rows, batch_size=4, shuffle=False, verbose=0)
    averages = [[np.asarray(v) for v in model.teacher.variables] for model in (distiller, loaded)]
    for one, other in zip(*averages, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)


class Died(Exception):
    """What a process that was killed says."""


class DieAt(keras.callbacks.Callback):
    def __init__(self, epoch, batch):
        super().__init__()
        self.at, self._epoch = (epoch, batch), 0

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self._epoch, batch) == self.at:
            raise Died


def test_a_run_that_died_ends_as_the_unbroken_one(rows, tmp_path):
    batches = tf.data.Dataset.from_tensor_slices(rows).batch(3)

    def run(checkpoint, *further):
        distiller = distilled(MovingAverage(0.9), with_statistics(dropout=0.3))
        data = checkpoint.epochs(lambda epoch: batches)
        distiller.fit(
            data, epochs=2, steps_per_epoch=4, callbacks=[checkpoint, *further], verbose=0
        )
        return [np.asarray(variable) for variable in distiller.variables]

    unbroken = run(kd_keras.Checkpoint(tmp_path / "unbroken.npz"))
    path = tmp_path / "broken.npz"
    with pytest.raises(Died):
        run(kd_keras.Checkpoint(path, every_steps=2), DieAt(1, 2))
    for one, other in zip(unbroken, run(kd_keras.Checkpoint(path, every_steps=2)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_step_that_fails_leaves_it_as_it_was(rows):
    x, y = rows
    broken = x.copy()
    broken[5] = np.nan
    states = []
    for data, labels in ((x[:4], y[:4]), (broken, y)):
        distiller = distilled(MovingAverage(0.9), with_statistics(dropout=0.3))
        try:
            distiller.fit(data, labels, batch_size=4, shuffle=False, verbose=0)
        except kd_keras.NonFiniteLossError as error:
            assert "teacher 'moving_average' that are not finite=" in str(error)
        states.append([np.asarray(variable) for variable in distiller.teacher.variables])
    for one, other in zip(*states, strict=True):
        np.testing.assert_array_equal(one, other)


def test_it_may_be_one_of_several(make_mlp, rows, fitted):
    student = make_mlp("student")
    crowd = Ensemble({"deep": make_mlp("deep"), "past": MovingAverage(0.5)})
    history = fitted(kd_keras.Distiller(crowd, student, KLDivergence(2.0)), rows)
    assert "past_agreement" in history
    assert int(crowd.members["past"].updates) == 4
    named = {"deep": make_mlp("deep"), "past": MovingAverage(0.5)}
    losses = {"deep": KLDivergence(2.0), "past": [ProbabilityMSE(), Hint("hidden", "hidden")]}
    distiller = kd_keras.Distiller(named, student, losses)
    assert np.isfinite(fitted(distiller, rows)["past_hint"]).all()
    assert distiller.teacher_moves


def test_it_takes_another_view_of_the_same_example(make_mlp, rows):
    x, y = rows
    student, teacher = make_mlp("student"), MovingAverage(0.9, inputs="weak")
    distiller = kd_keras.Distiller(teacher, student, ProbabilityMSE(), student_inputs="strong")
    distiller.compile(keras.optimizers.SGD(0.0), sparse_crossentropy())
    data = {"weak": x, "strong": -x}
    found = distiller.evaluate(data, y, verbose=0, return_dict=True)["distillation_loss"]
    expected = np.mean(ProbabilityMSE().per_example(student(x), student(-x)))
    assert found == pytest.approx(expected, rel=1e-4)


def test_a_student_that_is_built_by_its_data_is_followed(rows, fitted):
    student = keras.Sequential([keras.layers.Dense(4), keras.layers.Dense(3)])
    teacher = MovingAverage(0.5)
    with pytest.raises(ValueError, match="has none yet.*Pass it to kd_keras.Distiller"):
        teacher(rows[0])
    history = fitted(kd_keras.Distiller(teacher, student, ProbabilityMSE()), rows)
    assert history["distillation_loss"][1] > 0
    assert teacher(rows[0]).shape == (12, 3)


def test_it_follows_one_student(make_mlp):
    teacher = MovingAverage()
    kd_keras.Distiller(teacher, make_mlp("first"), ProbabilityMSE())
    with pytest.raises(ValueError, match="it follows 'first'.*trains 'second'.*Make a new Moving"):
        kd_keras.Distiller(teacher, make_mlp("second"), ProbabilityMSE())
    kd_keras.Distiller(MovingAverage(), make_mlp("second"), ProbabilityMSE())
    for arguments, said in (({"momentum": 1}, "`momentum`.*1 would"), ({"warm_up": 3}, "`warm_up")):
        with pytest.raises(ValueError, match=said):
            MovingAverage(**arguments)
