"""Schedules of temperatures and weights, and losses balanced by their size."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.optimizers.schedules import CosineDecay, PiecewiseConstantDecay, PolynomialDecay

import kd_keras
from kd_keras.losses import KLDivergence, LogitsMSE, ProbabilityMSE
from tests.conftest import sparse_crossentropy

TRACES = []


@keras.saving.register_keras_serializable(package="tests")
class MeanInput(kd_keras.losses.Loss):
    """Does not look at the models: the mean of the batch's images, times a weight."""

    def __init__(self, weight=1.0, **kwargs):
        super().__init__(**kwargs)
        self.weight = weight

    def per_example(self, teacher_outputs, student_outputs, x):
        TRACES.append(1)
        # Something of the student, or there would be no gradient.
        return self.weight * tf.reduce_mean(x, axis=(1, 2, 3)) + 0.0 * student_outputs[:, 0]

    def get_config(self):
        return {**super().get_config(), "weight": self.weight}


class Batches(keras.callbacks.Callback):
    """Keep what each batch adds: the logs are means over the epoch until then."""

    def __init__(self, name):
        super().__init__()
        self.name, self.means = name, []

    def on_train_batch_end(self, batch, logs=None):
        self.means.append(logs[self.name])

    @property
    def values(self):
        sums = np.array(self.means) * np.arange(1, len(self.means) + 1)
        return np.diff(sums, prepend=0.0)


def images_of(*means):
    """Batches of four images each, of one grey value each."""
    grey = np.repeat(np.array(means, "float32"), 4)
    return np.ones((len(grey), 6, 6, 1), "float32") * grey[:, None, None, None]


def fit(distiller, x, name, y=None, **options):
    seen = Batches(name)
    history = distiller.fit(
        x, y, batch_size=4, shuffle=False, verbose=0, callbacks=[seen], **options
    )
    return seen.values, history.history


def alone(make_net, losses, weights=None, student_loss_weight=0, **options):
    distiller = kd_keras.Distiller(
        make_net(name="t", norm=False),
        make_net(name="s", norm=False),
        losses,
        weights,
        student_loss_weight,
        **options,
    )
    needs_loss = student_loss_weight != 0
    distiller.compile(keras.optimizers.SGD(0.01), sparse_crossentropy() if needs_loss else None)
    return distiller


def test_a_scheduled_weight_acts_and_is_logged_and_nothing_retraces(make_net):
    warm_up = PolynomialDecay(0.0, decay_steps=4, end_learning_rate=2.0)
    distiller = alone(make_net, MeanInput(), [warm_up])
    TRACES.clear()
    x = images_of(10, 10, 10, 10, 10, 10)
    losses, history = fit(distiller, x, "distillation_loss")
    np.testing.assert_allclose(losses, [0, 5, 10, 15, 20, 20], rtol=1e-5)
    assert history["mean_input_weight"] == [pytest.approx((0 + 0.5 + 1 + 1.5 + 2 + 2) / 6)]
    traced = len(TRACES)
    losses, history = fit(distiller, x, "distillation_loss")
    np.testing.assert_allclose(losses, [20] * 6, rtol=1e-5)  # the count of steps goes on
    assert history["mean_input_weight"] == [pytest.approx(2.0)]
    assert len(TRACES) == traced


def test_a_schedule_inside_a_loss_is_evaluated_at_the_step_and_not_kept(make_net):
    schedule = PiecewiseConstantDecay([1, 3], [1.0, 2.0, 5.0])
    loss = MeanInput(schedule)
    losses, _ = fit(alone(make_net, loss), images_of(1, 1, 1, 1, 1), "distillation_loss")
    # A boundary belongs to the value before it.
    np.testing.assert_allclose(losses, [1, 1, 2, 2, 5], rtol=1e-5)
    assert loss.weight is schedule


@pytest.mark.parametrize("jit", [False, True], ids=["graph", "XLA"])
def test_a_scheduled_temperature_gives_the_loss_of_that_temperature(make_net, images, jit):
    x, y = images[0][:8], images[1][:8]
    distiller = alone(make_net, KLDivergence(PiecewiseConstantDecay([0], [1.0, 4.0])))
    distiller.compile(keras.optimizers.SGD(0.0), jit_compile=jit)
    losses, history = fit(distiller, x, "distillation_loss", y)
    expected = [
        float(KLDivergence(t).compute_loss(distiller.teacher(part), distiller.student(part)))
        for t, part in ((1.0, x[:4]), (4.0, x[4:]))
    ]
    np.testing.assert_allclose(losses, expected, rtol=1e-4)
    assert history["kl_divergence_temperature"] == [2.5]


def test_a_scheduled_share_of_the_students_loss(make_net, images):
    x, y = images[0][:8], images[1][:8]
    share = PiecewiseConstantDecay([0], [1.0, 0.25])
    distiller = alone(make_net, LogitsMSE(), None, share)
    distiller.compile(keras.optimizers.SGD(0.0), sparse_crossentropy())
    losses, history = fit(distiller, x, "loss", y)
    crossentropy = sparse_crossentropy()
    student = [float(crossentropy(y[i : i + 4], distiller.student(x[i : i + 4]))) for i in (0, 4)]
    kd = float(LogitsMSE().compute_loss(distiller.teacher(x[4:]), distiller.student(x[4:])))
    decay = float(sum(distiller.student.losses))
    expected = [student[0] + decay, 0.25 * student[1] + 0.75 * kd + decay]
    np.testing.assert_allclose(losses, expected, rtol=1e-4)
    assert history["student_loss_weight"] == [0.625]
    # What is scheduled is logged in training alone.
    assert "student_loss_weight" not in distiller.evaluate(x, y, verbose=0, return_dict=True)


def test_balanced_losses_are_divided_by_the_running_mean_of_their_size(make_net):
    distiller = alone(
        make_net, [MeanInput(), MeanInput(1e-4)], [1.0, 3.0], combine="sum", balance="ema"
    )
    means = [10.0, 30.0, 20.0, 5.0]
    losses, history = fit(distiller, images_of(*means), "distillation_loss")
    running, expected = 0.0, []
    for step, mean in enumerate(means):
        size = running / (1 - 0.99**step) if step else mean
        expected.append((1.0 + 3.0) * mean / size)
        running = 0.99 * running + 0.01 * mean
    np.testing.assert_allclose(losses, expected, rtol=1e-4)
    # The losses themselves are logged as they are.
    assert history["mean_input_1"] == [pytest.approx(1e-4 * np.mean(means), rel=1e-4)]


def test_a_loss_that_is_zero_is_balanced_to_zero(make_net):
    losses, _ = fit(
        alone(make_net, MeanInput(), balance="ema"), images_of(0, 0, 3), "distillation_loss"
    )
    assert losses[:2].tolist() == [0.0, 0.0]
    assert np.isfinite(losses).all()


@pytest.mark.slow
def test_schedules_and_running_means_come_back_from_a_file(make_net, images, tmp_path):
    x, y = images
    distiller = alone(
        make_net,
        [KLDivergence(CosineDecay(4.0, 20)), ProbabilityMSE(2.0)],
        [PolynomialDecay(0.1, 15, 1.0), 0.5],
        PiecewiseConstantDecay([12], [0.5, 0.2]),
        balance="ema",
    )
    distiller.fit(x, y, batch_size=4, shuffle=False, verbose=0)
    distiller.save(tmp_path / "distiller.keras")
    loaded = keras.models.load_model(tmp_path / "distiller.keras")
    assert loaded.balance == "ema"
    assert float(np.sum(loaded._loss_sizes)) > 0
    histories = [
        model.fit(x, y, batch_size=4, shuffle=False, verbose=0).history
        for model in (distiller, loaded)
    ]
    assert histories[0] == histories[1]


@pytest.mark.parametrize("distiller", [None, keras.distillation.Distiller])
def test_outside_of_a_distiller_of_ours_a_schedule_is_refused(make_net, images, distiller):
    loss = KLDivergence(CosineDecay(4.0, 20))
    with pytest.raises(ValueError, match=r"schedule for \['temperature'\].*kd_keras\.Distiller"):
        if distiller is None:
            loss.compute_loss(np.zeros((1, 2), "float32"), np.zeros((1, 2), "float32"))
        else:
            model = distiller(make_net(name="t"), make_net(name="s"), loss)
            model.compile("sgd", sparse_crossentropy(), run_eagerly=True)
            model.fit(*images, verbose=0)


def test_bad_values_are_refused_by_name(make_net):
    nets = make_net(name="t"), make_net(name="s")
    with pytest.raises(ValueError, match=r"`balance` must be None.*balance='sizes'"):
        kd_keras.Distiller(*nets, KLDivergence(), balance="sizes")
    with pytest.raises(ValueError, match="A schedule of it needs combine='convex'"):
        kd_keras.Distiller(*nets, KLDivergence(), None, CosineDecay(0.5, 10), combine="sum")
    with pytest.raises(ValueError, match="a finite number >= 0.*Schedule"):
        kd_keras.Distiller(*nets, KLDivergence(), [-1.0])
