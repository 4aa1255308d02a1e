"""A tap given as a layer, a function, a path into a nested model, or a list."""

import keras
import numpy as np
import pytest

import kd_keras
from kd_keras.training.taps import TappedModel
from tests.conftest import sparse_crossentropy
from tests.distiller.test_taps import ReturnsDict, functional, sequential


@keras.saving.register_keras_serializable(package="tests")
class Gap(kd_keras.losses.Loss):
    """Mean squared difference of features, of one tap or added up over several."""

    def per_example(self, teacher_outputs, student_outputs):
        pairs = zip(
            keras.tree.flatten(teacher_outputs), keras.tree.flatten(student_outputs), strict=True
        )
        return sum(
            keras.ops.mean((t - s) ** 2, axis=tuple(range(1, len(t.shape)))) for t, s in pairs
        )


@pytest.fixture
def data():
    random = np.random.default_rng(0)
    return random.normal(size=(16, 5)).astype("float32"), random.integers(0, 3, 16)


def block(name="inner", dropout=0.0):
    inputs = keras.Input((5,))
    x = keras.layers.Dense(4, name="hidden")(inputs)
    x = keras.layers.BatchNormalization(momentum=0.5, name="norm")(x)
    x = keras.layers.Dropout(dropout, seed=1, name="drop")(x)
    return keras.Model(inputs, keras.layers.Dense(5, name="last")(x), name=name)


def nested(name, inner=None):
    inputs = keras.Input((5,))
    x = (inner or block())(inputs)
    x = keras.layers.Dense(4, name="after")(x)
    return keras.Model(inputs, keras.layers.Dense(3, name="logits")(x), name=name)


def loss_of(distiller, data):
    distiller.compile(keras.optimizers.SGD(0.1), sparse_crossentropy())
    return distiller.evaluate(*data, verbose=0, return_dict=True)["distillation_loss"]


@pytest.mark.parametrize(
    "form",
    [
        lambda model: "hidden",
        lambda model: lambda seen: seen.get_layer("hidden"),
        lambda model: lambda seen: seen.layers[-1].input,
        lambda model: model.get_layer("hidden"),
        lambda model: lambda seen: "hidden",
    ],
    ids=["name", "function to layer", "function to tensor", "layer", "function to name"],
)
def test_every_form_taps_the_same_layer_and_is_saved_as_its_name(form, data):
    keras.utils.set_random_seed(3)
    teacher, student = functional("t"), functional("s")
    loss = Gap(form(teacher), form(student))
    distiller = kd_keras.Distiller(teacher, student, loss)
    hidden = [model.get_layer("hidden")(data[0]) for model in (teacher, student)]
    expected = np.mean((hidden[0] - hidden[1]) ** 2)
    assert loss_of(distiller, data) == pytest.approx(expected)
    names = distiller.losses_in_use[0].get_config()
    assert names == {"teacher_layer_name": "hidden", "student_layer_name": "hidden"}
    assert distiller._loss_layers == []


def test_several_taps_arrive_as_a_list_and_come_back_from_the_config(data):
    teacher, student = functional("t"), sequential()
    loss = Gap(["hidden", "logits"], [lambda seen: seen.layers[0], "logits"])
    single = [kd_keras.Distiller(teacher, student, Gap(n, n)) for n in ("hidden", "logits")]
    several = kd_keras.Distiller(teacher, student, loss)
    assert loss_of(several, data) == pytest.approx(sum(loss_of(d, data) for d in single))
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(several.losses_in_use[0])
    )
    assert again.student_layer_name == ("hidden", "logits")
    history = several.fit(*data, sample_weight=np.ones(16), verbose=0).history
    assert np.isfinite(history["loss"]).all()


def test_several_taps_of_a_dict_output(data):
    loss = Gap(["hidden", "logits"], ["hidden", "logits"])
    distiller = kd_keras.Distiller(ReturnsDict(), ReturnsDict(), loss)
    distiller.compile("sgd", {"logits": sparse_crossentropy()})
    logs = distiller.evaluate(data[0], {"logits": data[1]}, verbose=0, return_dict=True)
    outputs = [model(data[0]) for model in (distiller.teacher, distiller.student)]
    expected = sum(np.mean((outputs[0][k] - outputs[1][k]) ** 2) for k in ("hidden", "logits"))
    assert logs["distillation_loss"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", ["functional", "sequential outside", "sequential inside", "deep"])
def test_a_path_taps_a_nested_model_in_the_one_forward(kind, data):
    x, _ = data
    model = {
        "functional": lambda: nested("m"),
        "sequential outside": lambda: keras.Sequential(
            [keras.Input((5,)), block(), keras.layers.Dense(3, name="logits")]
        ),
        "sequential inside": lambda: nested(
            "m",
            keras.Sequential(
                [keras.Input((5,)), keras.layers.Dense(5, name="hidden")], name="inner"
            ),
        ),
        "deep": lambda: nested("m", nested_once()),
    }[kind]()
    path = "inner/deeper/hidden" if kind == "deep" else "inner/hidden"
    names = [path, "inner", "logits"]
    tapped = TappedModel(model, names, "student")
    outputs, taps = tapped(x, training=False)
    layer = model
    for name in path.split("/"):
        layer = layer.get_layer(name)
    np.testing.assert_allclose(taps[path], layer(x), rtol=1e-5)
    np.testing.assert_allclose(taps["inner"], model.get_layer("inner")(x), rtol=1e-5)
    np.testing.assert_allclose(outputs, model(x), rtol=1e-5)
    np.testing.assert_array_equal(taps["logits"], outputs)
    assert set(taps) == set(names)


def nested_once():
    inputs = keras.Input((5,))
    return keras.Model(inputs, block("deeper")(inputs), name="inner")


@pytest.mark.slow
def test_training_through_a_nested_tap_equals_training_through_a_named_output(data, tmp_path):
    """The same network, its inner features once by path and once as an output of its own."""
    x, y = data
    results = []
    for by_path in (True, False):
        keras.utils.set_random_seed(5)
        teacher = functional("t")
        if by_path:
            student = nested("s", block(dropout=0.5))
            loss = Gap("hidden", lambda seen: seen.get_layer("inner").get_layer("hidden"))
        else:
            inner = block(dropout=0.5)
            inputs = keras.Input((5,))
            both = keras.Model(inner.input, [inner.output, inner.get_layer("hidden").output])
            out, hidden = both(inputs)
            out = keras.layers.Dense(4, name="after")(out)
            out = keras.layers.Dense(3, name="logits")(out)
            hidden = keras.layers.Identity(name="hidden")(hidden)
            student = keras.Model(inputs, _with_named(out, hidden), name="s")
            loss = Gap("hidden", "hidden")
        distiller = kd_keras.Distiller(teacher, student, loss)
        if by_path:
            assert distiller.losses_in_use[0].student_layer_name == "inner/hidden"
        distiller.compile(keras.optimizers.SGD(0.1), sparse_crossentropy())
        losses = distiller.fit(x, y, batch_size=4, shuffle=False, epochs=2, verbose=0).history
        results.append((losses["loss"], [np.array(v) for v in student.weights]))
        if by_path:
            assert len(student.weights) == len(nested("other").weights)
            distiller.save(tmp_path / "d.keras")
            loaded = keras.models.load_model(tmp_path / "d.keras")
            assert loaded.evaluate(x, y, verbose=0) == distiller.evaluate(x, y, verbose=0)
            student.save(tmp_path / "s.keras")
            alone = keras.models.load_model(tmp_path / "s.keras")
            np.testing.assert_allclose(alone(x), student(x), rtol=1e-5)
    np.testing.assert_allclose(results[0][0], results[1][0], rtol=1e-5)
    for a, b in zip(results[0][1], results[1][1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def _with_named(logits, hidden):
    """Keep the layer "hidden" in the graph: it adds nothing to the logits."""
    nothing = keras.layers.Lambda(lambda h: 0.0 * keras.ops.sum(h, axis=-1, keepdims=True))(hidden)
    return keras.layers.Add()([logits, nothing])


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (3, "`student_layer_name` must be the name of a layer.*Received: student_layer_name=3"),
        ([], "must be the name of a layer"),
        (["hidden", None], "must be the name of a layer"),
        (keras.layers.Dense(2, name="alien"), "'alien'.*not part of the student.*'after'"),
        (lambda model: 3, "must return a layer.*returned 3"),
        (lambda model: keras.ops.add(model.output, 1.0), "must return a layer.*Identity"),
        ("inner/nothing", "nested model 'inner' has no layer.*'nothing'.*'hidden', 'norm'"),
        ("absent/nothing", "no layer and no output named 'absent'"),
        ("after/x", "no graph of layers"),
    ],
)
def test_bad_forms_are_refused_by_name(form, message):
    with pytest.raises(ValueError, match=message):
        kd_keras.Distiller(functional("t"), nested("s"), Gap("hidden", form))


def test_a_function_has_no_name_before_the_model_is_seen():
    with pytest.raises(ValueError, match="function of the model, which has no name"):
        Gap(lambda model: "hidden").get_config()
    layer = keras.layers.Dense(2, name="given")
    assert Gap(layer).get_config()["teacher_layer_name"] == "given"


def test_probabilities_are_seen_through_lists_and_paths():
    inputs = keras.Input((5,))
    inner = keras.Model(inputs, keras.layers.Dense(3, "softmax", name="scores")(inputs), name="in")
    student = nested("s", keras.Model(inputs, keras.layers.Dense(5)(inner(inputs)), name="inner"))
    kl = kd_keras.losses.KLDivergence(2.0, "logits", "inner/in/scores")
    teacher, x = functional("t"), np.random.default_rng(0).normal(size=(6, 5)).astype("float32")
    distiller = kd_keras.Distiller(teacher, student, kl, student_loss_weight=0.0)
    distiller.compile("sgd")
    value = distiller.evaluate(x, verbose=0, return_dict=True)["distillation_loss"]
    scores = keras.ops.log(inner(x))
    expected = kd_keras.losses.KLDivergence(2.0).compute_loss(teacher(x), scores)
    assert value == pytest.approx(float(expected), rel=1e-5)


def test_keras_own_distiller_takes_forms_that_come_down_to_one_layer(data):
    keras.utils.set_random_seed(3)
    teacher, student = functional("t"), functional("s")
    loss = Gap(teacher.get_layer("hidden"), lambda seen: seen.get_layer("hidden"))
    distiller = keras.distillation.Distiller(teacher, student, loss)
    distiller.compile("sgd", sparse_crossentropy())
    assert np.isfinite(distiller.evaluate(*data, verbose=0)).all()
    for several in (["hidden", "logits"], "inner/hidden"):
        with pytest.raises(ValueError, match="needs `kd_keras.Distiller`"):
            keras.distillation.Distiller(teacher, nested("s"), Gap(several, several))
