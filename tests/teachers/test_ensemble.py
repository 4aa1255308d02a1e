"""Several networks teach as one: each rule by numbers from the formula, and all of `fit`."""

import keras
import numpy as np
import pytest

import kd_keras
from kd_keras.losses import Hint, InputGradient, KLDivergence, LogitsMSE
from kd_keras.teachers import Ensemble, Frozen
from kd_keras.training.batch import Batch, Mix
from tests.conftest import sparse_crossentropy

ONE, TWO, EVEN = (0.7, 0.2, 0.1), (0.1, 0.6, 0.3), (1 / 3, 1 / 3, 1 / 3)
# Entropies 0.8018186 and 0.8979457: the first is the surer one.
SURE = 0.8979457 / (0.8018186 + 0.8979457)
GEOMETRIC = np.sqrt([0.07, 0.12, 0.03]) / np.sqrt([0.07, 0.12, 0.03]).sum()


@pytest.mark.parametrize(
    ("combine", "weights", "expected"),
    [
        ("probability", None, (0.4, 0.4, 0.2)),
        ("probability", [1, 3], (0.25, 0.5, 0.25)),
        ("probability", {"two": 0.0, "one": 2.0}, ONE),
        ("probability", "confidence", SURE * np.array(ONE) + (1 - SURE) * np.array(TWO)),
        ("logit", None, GEOMETRIC),
        ("majority", None, (0.5, 0.5, 0.0)),
        ("majority", [1, 3], (0.25, 0.75, 0.0)),
    ],
)
def test_the_rules_by_their_formulas(make_constant, rows, combine, weights, expected):
    crowd = Ensemble({"one": make_constant(*ONE), "two": make_constant(*TWO)}, combine, weights)
    logits = np.asarray(crowd(rows[0][:2]))
    np.testing.assert_allclose(keras.ops.softmax(logits), [expected] * 2, rtol=1e-5, atol=1e-7)
    if combine == "logit":
        np.testing.assert_allclose(logits, [np.log(ONE) / 2 + np.log(TWO) / 2] * 2, rtol=1e-5)


def test_certain_members_are_equally_sure(make_constant, rows):
    crowd = Ensemble(
        [make_constant(1, 1e-30, 1e-30), make_constant(1e-30, 1, 1e-30)], weights="confidence"
    )
    np.testing.assert_allclose(keras.ops.softmax(crowd(rows[0][:1])), [(0.5, 0.5, 0)], atol=1e-6)


# By 1 / p of the label: of 0 they are 1.43, 10 and 3, so the weights of the three are
# (1 - 1.43 / 14.43) / 2 and so on.
BY_LABEL = {
    0: (0.4504950, 0.1534653, 0.3960396),
    1: (0.2413793, 0.4137931, 0.3448276),
    2: (0.1938776, 0.3979592, 0.4081633),
}


def test_weights_by_accuracy_are_those_of_the_paper(make_constant, rows):
    """(1 - exp(L_k) / sum_j exp(L_j)) / (K - 1), for class ids, one-hot labels and mixed ones."""
    probabilities = np.array([ONE, TWO, EVEN])
    inverse = 1 / probabilities
    for label, expected in BY_LABEL.items():
        np.testing.assert_allclose(
            (1 - inverse[:, label] / inverse[:, label].sum()) / 2, expected, rtol=1e-5
        )
    crowd = Ensemble([make_constant(*p) for p in probabilities], weights="accuracy")
    x, y = rows[0][:3], np.array([0, 1, 2])
    answers = [member(x) for member in crowd.members.values()]
    combined = np.array([np.array(BY_LABEL[label]) @ probabilities for label in y])
    for labels in (y, y[:, None], np.eye(3, dtype="float32")[y]):
        found = keras.ops.softmax(crowd.combined(answers, Batch(x, labels)))
        np.testing.assert_allclose(found, combined, rtol=1e-5)
    half = Mix(np.array([1, 1, 1]), None, np.array([0.75, 0.75, 0.75], "float32"))
    found = keras.ops.softmax(crowd.combined(answers, Batch(x, y, mix=half)))
    losses = -(0.75 * np.log(probabilities[:, y]) + 0.25 * np.log(probabilities[:, [1] * 3]))
    weights = (1 - np.exp(losses) / np.exp(losses).sum(0)) / 2
    np.testing.assert_allclose(found, weights.T @ probabilities, rtol=1e-5)


def averaged(members, inputs=(5,)):
    """Return one network that says what an ensemble by logits says."""
    x = keras.Input(inputs)
    return keras.Model(x, keras.layers.Average()([member(x) for member in members]))


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="graph"),
        pytest.param({"jit_compile": True}, id="xla", marks=pytest.mark.slow),
        pytest.param({"run_eagerly": True}, id="eager", marks=pytest.mark.slow),
    ],
)
def test_training_is_that_with_one_network_that_averages(make_mlp, rows, fitted, options):
    """With a loss that differentiates the ensemble at its inputs."""
    members = {"deep": make_mlp("a", width=9), "shallow": make_mlp("b", width=2)}
    student = make_mlp("student")
    start, logs = student.get_weights(), []
    for teacher in (Ensemble(members, "logit"), averaged(members.values())):
        student.set_weights(start)
        losses = [KLDivergence(3.0), LogitsMSE(), InputGradient()]
        logs.append(fitted(kd_keras.Distiller(teacher, student, losses), rows, **options))
    for name, values in logs[1].items():
        np.testing.assert_allclose(logs[0][name], values, rtol=2e-4, err_msg=name)
    assert set(logs[0]) - set(logs[1]) == {
        f"{name}_{log}" for name in members for log in ("agreement", "teacher_accuracy")
    }
    # What is logged of a member is what it says alone.
    for name, member in members.items():
        student.set_weights(start)
        alone = kd_keras.Distiller(member, student, KLDivergence(3.0))
        student.trainable = True
        whole = kd_keras.Distiller(Ensemble(members, "logit"), student, KLDivergence(3.0))
        found = []
        for distiller in (alone, whole):
            distiller.compile(keras.optimizers.SGD(0.0), sparse_crossentropy())
            found.append(distiller.fit(*rows, verbose=0).history)
        for log in ("agreement", "teacher_accuracy"):
            assert found[0][log] == found[1][f"{name}_{log}"]


def test_members_have_inputs_classes_and_ends_of_their_own(make_mlp, rows, fitted):
    """A member of more classes, of other inputs, that ends in a softmax, under mixed precision."""
    keras.config.set_dtype_policy("mixed_float16")
    try:
        wide = keras.Sequential([keras.Input((10,)), keras.layers.Dense(7, activation="softmax")])
        student = make_mlp("student")
    finally:
        keras.config.set_dtype_policy("float32")
    plain = make_mlp("plain")
    double = Frozen(wide, inputs=lambda x: keras.ops.concatenate([x, x], -1), classes=[6, 0, 2])
    with pytest.raises(ValueError, match="a network of its own.*Pass a copy"):
        Ensemble([plain, Frozen(plain, inputs=lambda x: -x)])
    copy = keras.models.clone_model(plain)
    copy.set_weights(plain.get_weights())
    crowd = Ensemble([plain, double, Frozen(copy, inputs=lambda x: -x)])
    assert list(crowd.members) == ["plain", wide.name, "plain_1"]
    x = rows[0]
    said = [plain(x), np.log(wide(np.concatenate([x, x], -1)))[:, [6, 0, 2]], plain(-x)]
    expected = np.log(np.mean([keras.ops.softmax(z) for z in said], axis=0))
    np.testing.assert_allclose(crowd(x), expected, rtol=2e-3, atol=2e-3)
    history = fitted(kd_keras.Distiller(crowd, student, KLDivergence(2.0)), rows)
    assert np.isfinite(history["loss"]).all()
    assert not plain.trainable_weights


def test_an_ensemble_is_saved_and_loaded_with_its_distiller(make_mlp, rows, tmp_path):
    a, b = make_mlp("a"), make_mlp("b", width=2)
    crowd = Ensemble({"one": a, "two": b}, "majority", [1, 3])
    distiller = kd_keras.Distiller(crowd, make_mlp("student"), KLDivergence(2.0))
    distiller.compile("sgd", sparse_crossentropy())
    distiller.fit(*rows, verbose=0)
    distiller.save(tmp_path / "distiller.keras")
    loaded = keras.models.load_model(tmp_path / "distiller.keras")
    expected = distiller.evaluate(*rows, verbose=0, return_dict=True)
    found = loaded.evaluate(*rows, verbose=0, return_dict=True)
    assert found == pytest.approx(expected, rel=1e-5)
    assert loaded.teacher.weights_form == (0.25, 0.75)


@pytest.mark.parametrize("combine", ["probability", "majority"])
def test_a_member_that_says_nan_is_named(make_mlp, rows, combine):
    broken = make_mlp("broken")
    broken.set_weights([np.full_like(weight, np.nan) for weight in broken.get_weights()])
    crowd = Ensemble({"good": make_mlp("good"), "bad": broken}, combine)
    distiller = kd_keras.Distiller(crowd, make_mlp("student"), KLDivergence(2.0))
    distiller.compile("sgd", sparse_crossentropy())
    said = "teacher 'good' that are not finite=0.*teacher 'bad' that are not finite=36"
    with pytest.raises(kd_keras.NonFiniteLossError, match=said):
        distiller.fit(*rows, verbose=0)


def test_an_augmentation_that_asks_the_teacher_asks_the_ensemble(make_net, images, fitted):
    pick = kd_keras.augment.Pick(kd_keras.augment.cutmix(seed=1), pool=2)
    crowd = Ensemble([make_net(4, "a"), make_net(3, "b")], weights="confidence")
    student = make_net(2, "student")
    distiller = kd_keras.Distiller(crowd, student, KLDivergence(2.0), augmentation=pick)
    history = fitted(distiller, (images[0][:12], images[1][:12]))
    assert np.isfinite(history["loss"]).all()
    assert "agreement" in history
    crowd = Ensemble([make_net(4, "a"), make_net(3, "b")], weights="accuracy")
    distiller = kd_keras.Distiller(crowd, student, KLDivergence(2.0), augmentation=pick)
    with pytest.raises(ValueError, match="Received: no labels. Pass weights='confidence'"):
        fitted(distiller, (images[0][:12], images[1][:12]))


def test_features_of_an_ensemble_are_refused_and_named_teachers_have_them(make_mlp, rows, fitted):
    a, b, student = make_mlp("a"), make_mlp("b"), make_mlp("student")
    for tap in ("hidden", a.layers[0], lambda model: model.layers[0]):
        with pytest.raises(ValueError, match="Hint matches features, and an ensemble has none"):
            kd_keras.Distiller(Ensemble([a, b]), student, [KLDivergence(2.0), Hint(tap, "hidden")])
    losses = {"deep": [KLDivergence(2.0), Hint("hidden", "hidden")], "shallow": KLDivergence(2.0)}
    history = fitted(kd_keras.Distiller({"deep": a, "shallow": b}, student, losses), rows)
    assert np.isfinite(history["deep_hint"]).all()


def test_raw_logits_are_refused_where_probabilities_are_combined(make_mlp, rows):
    a, b, student = make_mlp("a"), make_mlp("b"), make_mlp("student")
    soft = make_mlp("soft", activation="softmax")
    with pytest.raises(ValueError, match="by 'probability' knows log-probabilities alone; combine"):
        kd_keras.Distiller(Ensemble([a, b]), student, LogitsMSE())
    with pytest.raises(ValueError, match="a member of the ensemble ends in a softmax"):
        kd_keras.Distiller(Ensemble([a, soft], "logit"), student, LogitsMSE())
    kd_keras.Distiller(Ensemble([a, b], "logit"), student, LogitsMSE())


def test_members_that_do_not_fit_are_refused_with_their_classes(make_mlp, rows):
    a, other = make_mlp("a"), make_mlp("other", units=4)
    with pytest.raises(ValueError, match=r"same classes.*'a': \(3,\), 'other': \(4,\)"):
        Ensemble([a, other])(rows[0])
    assert Ensemble([a, Frozen(other, classes=[3, 1, 0])])(rows[0]).shape == (12, 3)
    with pytest.raises(ValueError, match="Teacher and student output shapes are incompatible"):
        kd_keras.Distiller(Ensemble([a, other]), make_mlp("student"), KLDivergence(2.0))
    one = [make_mlp("a", units=1), make_mlp("b", units=1)]
    with pytest.raises(ValueError, match="no softmax to combine.*Pass combine='logit'"):
        Ensemble(one)(rows[0])
    assert Ensemble(one, "logit")(rows[0]).shape == (12, 1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"combine": "mean"}, "`combine` must be 'probability'.*Received: combine='mean'"),
        ({"weights": "entropy"}, "`weights` must be None.*Received: weights='entropy'"),
        ({"weights": [1.0]}, r"one number for each of \['a', 'b'\].*Received: weights=\[1.0\]"),
        ({"weights": {"a": 1, "c": 1}}, r"one number for each of \['a', 'b'\]"),
        ({"weights": [0, 0]}, "must not all be 0"),
        ({"weights": [-1, 2]}, "`weights` must be .*-1"),
    ],
)
def test_arguments_out_of_range_are_refused(make_mlp, arguments, said):
    with pytest.raises(ValueError, match=said):
        Ensemble([make_mlp("a"), make_mlp("b")], **arguments)


def test_outputs_of_other_names_are_not_paired():
    def network(*names):
        inputs = keras.Input((8,))
        return keras.Model(inputs, {name: keras.layers.Dense(3)(inputs) for name in names})

    crowd = Ensemble({"a": network("u", "v"), "b": network("v", "w")})
    with pytest.raises(ValueError, match="by the same names of outputs.*'u'.*'w'"):
        crowd(np.ones((2, 8), "float32"))


def test_weights_by_a_softmax_are_refused_for_labels_that_do_not_compete(make_mlp, rows):
    x = rows[0]
    labels = np.random.default_rng(0).integers(0, 2, (len(x), 3)).astype("float32")
    for weights in ("confidence", "accuracy", np.array([1.0, 2.0])):
        crowd = Ensemble({"a": make_mlp("a"), "b": make_mlp("b")}, "logit", weights)
        distiller = kd_keras.Distiller(
            crowd, make_mlp("s"), kd_keras.losses.BinaryKLDivergence(2.0)
        )
        distiller.compile("sgd", keras.losses.BinaryCrossentropy(from_logits=True))
        if isinstance(weights, str):
            with pytest.raises(ValueError, match="labels are independent.*numbers or None"):
                distiller.evaluate(x, labels, verbose=0)
        else:
            distiller.evaluate(x, labels, verbose=0)


def test_one_network_at_two_places_is_refused_however_deep(make_mlp):
    twice = make_mlp("twice")
    with pytest.raises(ValueError, match="one of them twice"):
        Ensemble({"crowd": Ensemble({"x": twice, "y": make_mlp("y")}), "one": twice})


def test_one_member_or_none_is_refused(make_mlp):
    for members in ([make_mlp("a")], {}, make_mlp("a"), {1: make_mlp("a"), 2: make_mlp("b")}):
        with pytest.raises(ValueError, match="Several teachers are two or more"):
            Ensemble(members)
    with pytest.raises(ValueError, match="must be a keras.Model"):
        Ensemble([make_mlp("a"), "resnet20"])


def test_members_of_members_have_names_of_their_own(make_mlp):
    crowd, student, kl = Ensemble([make_mlp("a"), make_mlp("b")]), make_mlp("s"), KLDivergence(2.0)
    for name in ("crowd_a", "c"):
        teachers = {"crowd": crowd, name: make_mlp("c")}
        if name == "crowd_a":
            with pytest.raises(ValueError, match="'crowd_a', 'crowd_b', 'crowd_a'.*another name"):
                kd_keras.Distiller(teachers, student, dict.fromkeys(teachers, kl))
        else:
            kd_keras.Distiller(teachers, student, dict.fromkeys(teachers, kl))


def test_dense_outputs_are_combined_at_each_position(make_mlp):
    """Where one member is certain and the other knows nothing, the certain one counts alone."""
    sure, none = np.array([40.0, 0.0]), np.zeros(2)
    one = np.stack([sure, none])[None].astype("float32")
    two = np.stack([none, sure[::-1]])[None].astype("float32")
    crowd = Ensemble([make_mlp("a"), make_mlp("b")], weights="confidence")
    found = crowd.combined([{"mask": one}, {"mask": two}], Batch(one))["mask"]
    np.testing.assert_allclose(keras.ops.softmax(found), [[(1, 0), (0, 1)]], atol=1e-6)
