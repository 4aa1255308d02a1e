"""Teachers by name, each with losses of its own, in one step."""

import keras
import numpy as np
import pytest

import kd_keras
from kd_keras.losses import AttentionTransfer, Hint, InputGradient, KLDivergence, LogitsMSE
from kd_keras.teachers import Ensemble, Frozen, Named
from tests.conftest import sparse_crossentropy


def attention(tap):
    return AttentionTransfer(teacher_layer_name=tap, student_layer_name=tap)


def evaluated(teacher, student, losses, weights, data):
    distiller = kd_keras.Distiller(teacher, student, losses, weights, student_loss_weight=0.25)
    distiller.compile("sgd", sparse_crossentropy())
    return distiller, distiller.evaluate(*data, verbose=0, return_dict=True)


def test_each_loss_sees_its_own_teacher_and_all_are_added(make_net, images):
    """What is logged of each teacher is what a Distiller with that teacher alone logs."""
    deep, shallow, student = make_net(6, "a"), make_net(3, "b"), make_net(2, "student")
    of_deep = [KLDivergence(4.0), attention("relu")]
    of_shallow = [attention("conv"), InputGradient()]
    data = images[0][:8], images[1][:8]
    _, one = evaluated(deep, student, of_deep, [1.0, 0.5], data)
    _, two = evaluated(shallow, student, of_shallow, [2.0, 0.1], data)
    distiller, both = evaluated(
        {"deep": deep, "shallow": shallow},
        student,
        {"shallow": of_shallow, "deep": of_deep},
        {"deep": [1.0, 0.5], "shallow": [2.0, 0.1]},
        data,
    )
    expected = one["distillation_loss"] + two["distillation_loss"]
    assert both["distillation_loss"] == pytest.approx(expected, rel=1e-4)
    whole = 0.25 * both["student_loss"] + 0.75 * both["distillation_loss"]
    added = sum(map(float, student.losses))
    assert both["loss"] == pytest.approx(whole + added, rel=1e-4)
    for name, alone in (("deep", one), ("shallow", two)):
        shared = {"loss", "total_loss", "student_loss", "distillation_loss"}
        for log in alone.keys() - shared:
            assert both[f"{name}_{log}"] == pytest.approx(alone[log], rel=1e-4, abs=1e-7), log
    # Of the shallow one no loss compares the outputs, so the deep one alone has a say.
    same = np.argmax(deep(data[0]), -1) == np.argmax(student(data[0]), -1)
    assert both["deep_agreement"] == pytest.approx(same.mean())
    assert list(distiller.distillation_losses) == ["deep", "shallow"]


class Counting(keras.Model):
    """A network that counts how often it runs, eagerly."""

    def __init__(self, name):
        super().__init__(name=name)
        self.dense = keras.layers.Dense(3)
        self.calls = 0

    def call(self, x):
        self.calls += 1
        return {"logits": self.dense(x), "features": x}


def test_a_teacher_runs_once_a_step_whatever_its_losses(rows):
    deep, shallow, student = (Counting(name) for name in ("deep", "shallow", "student"))
    for network in (deep, shallow, student):
        network(rows[0])
    feature = keras.distillation.FeatureDistillation("mse", "features", "features")
    losses = {"deep": [KLDivergence(2.0), feature, feature], "shallow": [KLDivergence(1.0)]}
    distiller = kd_keras.Distiller({"deep": deep, "shallow": shallow}, student, losses)
    crossentropy = {"logits": sparse_crossentropy(), "features": None}
    distiller.compile("sgd", crossentropy, run_eagerly=True)
    data = rows[0], {"logits": rows[1]}
    distiller.fit(*data, verbose=0)
    counted = []
    for batch_size in (12, 4):
        deep.calls = shallow.calls = 0
        distiller.fit(*data, batch_size=batch_size, verbose=0)
        counted.append((deep.calls, shallow.calls))
    assert counted == [(1, 1), (3, 3)]


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"jit_compile": True}, {"run_eagerly": True}])
def test_training_is_the_same_however_it_is_compiled(make_mlp, rows, fitted, options):
    teachers = {"deep": make_mlp("a", width=8), "shallow": make_mlp("b", width=2)}
    student = make_mlp("student")
    start, logs = student.get_weights(), []
    for how in ({}, options):
        keras.utils.set_random_seed(2)
        student.set_weights(start)
        losses = {"deep": [KLDivergence(2.0), Hint("hidden", "hidden")], "shallow": LogitsMSE()}
        logs.append(fitted(kd_keras.Distiller(teachers, student, losses), rows, **how))
    for name, values in logs[0].items():
        np.testing.assert_allclose(logs[1][name], values, rtol=1e-4, err_msg=name)


def test_what_asks_one_teacher_hears_the_mean_of_those_with_a_say(make_net, images, fitted):
    """`Pick` and `Feedback` ask; a teacher of features alone has no say."""
    teachers = {"one": make_net(4, "a"), "two": make_net(3, "b"), "mute": make_net(2, "c")}
    losses = {
        "one": KLDivergence(2.0),
        "two": KLDivergence(2.0),
        "mute": attention("relu"),
    }
    changes = {"none": None, "noise": kd_keras.augment.GaussianNoise(0.1)}
    feedback = kd_keras.augment.Feedback(changes, before=[], seed=1)
    pick = kd_keras.augment.Pick(kd_keras.augment.cutmix(seed=1), pool=2)
    data = images[0][:12], images[1][:12]
    distiller = kd_keras.Distiller(
        teachers, make_net(2, "student"), losses, augmentation=[feedback, pick]
    )
    assert np.isfinite(fitted(distiller, data)["loss"]).all()
    distiller = kd_keras.Distiller(teachers, make_net(2, "student"), losses)
    distiller.compile(keras.optimizers.SGD(0.0), sparse_crossentropy())
    logs = distiller.evaluate(*data, verbose=0, return_dict=True)
    voices = np.asarray(teachers["one"](data[0])) + np.asarray(teachers["two"](data[0]))
    same = np.argmax(voices, -1) == np.argmax(distiller.student(data[0]), -1)
    assert logs["agreement"] == pytest.approx(same.mean())


def test_named_teachers_are_saved_and_loaded(make_mlp, rows, tmp_path):
    teachers = {
        "deep": make_mlp("a", width=8),
        "crowd": Ensemble({"x": make_mlp("b"), "y": make_mlp("c")}),
    }
    losses = {"deep": [KLDivergence(4.0), Hint("hidden", "hidden")], "crowd": KLDivergence(2.0)}
    decay = keras.optimizers.schedules.ExponentialDecay(2.0, 10, 0.9)
    weights = {"deep": [1.0, 0.5], "crowd": decay}
    distiller = kd_keras.Distiller(teachers, make_mlp("student"), losses, weights)
    distiller.compile("sgd", sparse_crossentropy())
    history = distiller.fit(*rows, verbose=0).history
    assert {"crowd_x_agreement", "crowd_kl_divergence", "deep_hint"} <= set(history)
    assert history["crowd_kl_divergence_weight"] == [2.0]
    distiller.save(tmp_path / "distiller.keras")
    loaded = keras.models.load_model(tmp_path / "distiller.keras")
    expected = distiller.evaluate(*rows, verbose=0, return_dict=True)
    assert loaded.evaluate(*rows, verbose=0, return_dict=True) == pytest.approx(expected, rel=1e-5)
    assert isinstance(loaded.teacher, Named)
    assert loaded.distillation_loss_weights["deep"] == [1.0, 0.5]
    # What a file says is the same once more.
    assert loaded.get_config().keys() == distiller.get_config().keys()
    assert list(loaded.losses_in_use) == ["deep", "crowd"]


def test_a_teacher_that_says_nan_is_named(make_mlp, rows):
    broken = make_mlp("broken")
    broken.set_weights([np.full_like(weight, np.nan) for weight in broken.get_weights()])
    teachers = {"good": make_mlp("good"), "bad": broken}
    losses = {"good": KLDivergence(2.0), "bad": KLDivergence(2.0)}
    distiller = kd_keras.Distiller(teachers, make_mlp("student"), losses)
    distiller.compile("sgd", sparse_crossentropy())
    said = "teacher 'good' that are not finite=0.*teacher 'bad' that are not finite=36"
    with pytest.raises(kd_keras.NonFiniteLossError, match=said):
        distiller.fit(*rows, verbose=0)


def test_losses_and_weights_must_say_whose_they_are(make_mlp):
    teachers, student = {"deep": make_mlp("a"), "shallow": make_mlp("b")}, make_mlp("student")
    kl = KLDivergence(2.0)
    both = {"deep": kl, "shallow": kl}
    for losses in (kl, [kl], {"deep": kl}, {"deep": kl, "other": kl}):
        with pytest.raises(ValueError, match=r"a dict with \['deep', 'shallow'\].*Ensemble"):
            kd_keras.Distiller(teachers, student, losses)
    for weights in (1.0, [1.0, 2.0], {"deep": 1.0}):
        with pytest.raises(ValueError, match=r"as the losses are, with \['deep', 'shallow'\]"):
            kd_keras.Distiller(teachers, student, both, weights)
    with pytest.raises(ValueError, match="must hold at least one loss"):
        kd_keras.Distiller(teachers, student, {"deep": kl, "shallow": []})
    with pytest.raises(ValueError, match="Several teachers are two or more"):
        kd_keras.Distiller({"deep": make_mlp("a")}, student, {"deep": kl})
    with pytest.raises(ValueError, match="LogitsMSE needs raw logits, and the teacher 'soft'"):
        soft = make_mlp("soft", activation="softmax")
        kd_keras.Distiller({**teachers, "soft": soft}, student, {**both, "soft": LogitsMSE()})
    with pytest.raises(ValueError, match="no layer and no output named 'nowhere'"):
        kd_keras.Distiller(teachers, student, {**both, "deep": [kl, Hint("nowhere", "hidden")]})
    # The remedies.
    kd_keras.Distiller(Ensemble(teachers), student, kl)
    kd_keras.Distiller(teachers, student, both, {"deep": 1.0, "shallow": [2.0]})


def test_teachers_may_be_changed_before_compile(make_mlp, rows, fitted):
    teachers = {"deep": make_mlp("a"), "shallow": make_mlp("b")}
    kl = KLDivergence(2.0)
    distiller = kd_keras.Distiller(teachers, make_mlp("student"), {"deep": kl, "shallow": kl})
    fitted(distiller, rows)
    distiller.distillation_loss_weights["deep"][0] = 3.0
    with pytest.raises(ValueError, match="distillation_loss_weights.*changed after `compile`"):
        distiller.fit(*rows, verbose=0)
    distiller.teacher = {"deep": make_mlp("a"), "other": Frozen(make_mlp("c"))}
    distiller.distillation_losses = {"deep": kl, "other": kl}
    distiller.distillation_loss_weights = None
    assert "other_kl_divergence" in fitted(distiller, rows)
