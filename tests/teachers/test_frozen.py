"""A teacher with inputs, outputs and classes of its own teaches, and says what it needs."""

import keras
import numpy as np
import pytest

import kd_keras
from kd_keras.losses import KLDivergence, LogitsMSE
from kd_keras.losses.contract.logit_form import LogitForm
from kd_keras.teachers import Frozen
from tests.conftest import sparse_crossentropy

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(12, 5)).astype("float32")
Y = np.arange(12) % 3


class Subclassed(keras.Model):
    """A network without a graph, that ends in any function."""

    def __init__(self, end, units=3):
        super().__init__()
        self.dense = keras.layers.Dense(units)
        self.end = end

    def call(self, inputs):
        return self.end(self.dense(inputs))


def of_layers(*last, units=3):
    return keras.Sequential([keras.Input((5,)), keras.layers.Dense(units), *last])


def with_operation(operation, units=3):
    inputs = keras.Input((5,))
    return keras.Model(inputs, operation(keras.layers.Dense(units)(inputs)))


def dense_with(activation):
    return keras.Sequential([keras.Input((5,)), keras.layers.Dense(3, activation=activation)])


SOFTMAX = {
    "activation": lambda: dense_with("softmax"),
    "layer": lambda: of_layers(keras.layers.Softmax()),
    "operation": lambda: with_operation(keras.ops.softmax),
    "subclassed": lambda: Subclassed(keras.ops.softmax),
    "activation layer": lambda: of_layers(keras.layers.Activation("softmax")),
    "nested": lambda: keras.Sequential([keras.Input((5,)), dense_with("softmax")]),
}


def logits_model(weights):
    model = of_layers()
    model.set_weights(weights)
    return model


def fitted(teacher, student, loss=None, y=Y, compiled=None, x=X, **kwargs):
    distiller = kd_keras.Distiller(teacher, student, loss or KLDivergence(2.0), **kwargs)
    distiller.compile(keras.optimizers.SGD(0.1), compiled or sparse_crossentropy())
    history = distiller.fit(x, y, batch_size=6, epochs=2, shuffle=False, verbose=0).history
    return distiller, history


@pytest.mark.parametrize("form", SOFTMAX)
@pytest.mark.parametrize("role", ["teacher", "student"])
def test_a_network_that_ends_in_a_softmax_is_one_that_returns_logits(form, role):
    """With its own compiled loss, every number of the training is that of the logits network."""
    keras.utils.set_random_seed(3)
    other, network = of_layers(), SOFTMAX[form]()
    network(X)
    weights, others = network.get_weights(), other.get_weights()
    probabilities = keras.losses.SparseCategoricalCrossentropy()
    if role == "teacher":
        _, found = fitted(network, other)
        other.set_weights(others)
        _, expected = fitted(logits_model(weights), other)
    else:
        distiller, found = fitted(other, network, compiled=probabilities)
        _, expected = fitted(other, logits_model(weights))
        np.testing.assert_allclose(distiller.predict(X, verbose=0).sum(-1), 1.0, rtol=1e-5)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=2e-4, err_msg=name)


@pytest.mark.parametrize(
    "make",
    [lambda: dense_with("sigmoid"), lambda: Subclassed(keras.ops.sigmoid)],
    ids=["activation", "subclassed"],
)
def test_a_sigmoid_becomes_log_odds(make):
    keras.utils.set_random_seed(3)
    teacher, student = make(), of_layers()
    teacher(X)
    weights, students = teacher.get_weights(), student.get_weights()
    y = (RANDOM.uniform(size=(12, 3)) > 0.5).astype("float32")
    binary = keras.losses.BinaryCrossentropy(from_logits=True)
    _, found = fitted(teacher, student, LogitsMSE(), y, binary)
    student.set_weights(students)
    _, expected = fitted(logits_model(weights), student, LogitsMSE(), y, binary)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=2e-4, err_msg=name)


def test_probabilities_at_the_ends_stay_finite_and_teach():
    form = LogitForm(dense_with("softmax"))
    logits = form(np.array([[1.0, 0.0, 0.0]], "float32"))
    np.testing.assert_allclose(logits, [[0.0, np.log(1e-30), np.log(1e-30)]], rtol=1e-6)
    odds = LogitForm(dense_with("sigmoid"))(np.array([[0.0, 0.5, 1.0]], "float32"))
    np.testing.assert_allclose(odds, [[np.log(1e-30), 0.0, 24 * np.log(2.0)]], rtol=1e-5)
    teacher, student = dense_with("softmax"), of_layers()
    teacher.set_weights([1e4 * weight for weight in teacher.get_weights()])
    _, history = fitted(teacher, student, KLDivergence(20.0))
    assert np.isfinite(history["loss"]).all()


def test_losses_that_need_raw_logits_are_refused_of_a_softmax_on_either_side():
    for networks, said in (
        ((dense_with("softmax"), of_layers()), "LogitsMSE needs raw logits, and the teacher"),
        ((of_layers(), dense_with("softmax")), "LogitsMSE needs raw logits, and the student"),
    ):
        with pytest.raises(ValueError, match=said):
            kd_keras.Distiller(*networks, LogitsMSE())
    distiller = kd_keras.Distiller(Subclassed(keras.ops.softmax), of_layers(), LogitsMSE())
    distiller.compile("sgd", sparse_crossentropy())
    with pytest.raises(ValueError, match="LogitsMSE needs raw logits, and the teacher"):
        distiller.fit(X, Y, verbose=0)
    # A loss between features takes the outputs as they are.
    feature = keras.distillation.FeatureDistillation("mse")
    teacher, student = dense_with("softmax"), dense_with("softmax")
    expected = np.mean((teacher(X) - student(X)) ** 2)
    distiller = kd_keras.Distiller(teacher, student, feature)
    distiller.compile("sgd", "sparse_categorical_crossentropy")
    logs = distiller.evaluate(X, Y, verbose=0, return_dict=True)
    assert logs["distillation_loss"] == pytest.approx(expected, rel=1e-5)


def test_what_is_declared_counts():
    teacher = with_operation(lambda x: keras.ops.softmax(x) * 1.0)  # its graph does not tell
    logits = Frozen(teacher, outputs="logits")(X)
    np.testing.assert_allclose(logits, teacher(X))
    for outputs in ("probabilities", "auto"):
        found = Frozen(teacher, outputs=outputs)(X)
        np.testing.assert_allclose(found, np.log(teacher(X)), rtol=1e-5)


def image_net(size, channels, units=3, name=None):
    layers = [keras.layers.Flatten(), keras.layers.Dense(units)]
    return keras.Sequential([keras.Input((size, size, channels)), *layers], name=name)


IMAGES = RANDOM.uniform(0, 255, (12, 8, 8, 1)).astype("float32")


def test_a_teacher_of_another_size_and_channels_follows_the_line_in_the_error():
    teacher, student = image_net(12, 3), image_net(8, 1)
    with pytest.raises(ValueError, match="input shapes are incompatible") as error:
        kd_keras.Distiller(teacher, student, KLDivergence(2.0))
    line = str(error.value).rpartition("channels: teacher=")[2].rstrip(".")
    frozen = eval(line, {"kd_keras": kd_keras, "keras": keras, "teacher": teacher})
    distiller, history = fitted(frozen, student, x=IMAGES, augmentation=kd_keras.augment.none())
    assert np.isfinite(history["loss"]).all()
    shown = keras.ops.image.resize(keras.ops.repeat(IMAGES, 3, axis=-1), (12, 12))
    expected = KLDivergence(2.0).compute_loss(teacher(shown), student(IMAGES))
    logs = distiller.evaluate(IMAGES, Y, verbose=0, return_dict=True)
    assert logs["distillation_loss"] == pytest.approx(float(expected), rel=1e-4)


def test_keys_of_a_dict_say_who_takes_what():
    x = {"wave": X, "image": IMAGES}
    distiller, history = fitted(
        Frozen(of_layers(), inputs="wave"), image_net(8, 1), x=x, student_inputs="image"
    )
    assert np.isfinite(history["loss"]).all()
    assert distiller.predict(x, verbose=0).shape == (12, 3)
    with pytest.raises(ValueError, match=r"`inputs` is the key 'sound'.*\['image', 'wave'\]"):
        fitted(Frozen(of_layers(), inputs="sound"), image_net(8, 1), x=x, student_inputs="image")


def test_classes_may_be_a_subset_in_another_order():
    teacher, student = of_layers(units=6), of_layers()
    with pytest.raises(ValueError, match=r"Frozen\(teacher, classes=\[...\]\)"):
        kd_keras.Distiller(teacher, student, KLDivergence(2.0))
    distiller, _ = fitted(Frozen(teacher, classes=[4, 0, 2]), student)
    logs = distiller.evaluate(X, Y, verbose=0, return_dict=True)
    expected = KLDivergence(2.0).compute_loss(teacher(X).numpy()[:, [4, 0, 2]], student(X))
    assert logs["distillation_loss"] == pytest.approx(float(expected), rel=1e-4)
    agreed = teacher(X).numpy()[:, [4, 0, 2]].argmax(-1) == student(X).numpy().argmax(-1)
    assert logs["agreement"] == pytest.approx(agreed.mean())
    with pytest.raises(ValueError, match=r"classes of the teacher, 0..5. Received: classes=\[6"):
        fitted(Frozen(teacher, classes=[6, 0, 2]), student)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"classes": [0, 0, 1]}, "`classes` must list.*each once"),
        ({"classes": [0.5, 1, 2]}, "`classes` must list"),
        ({"classes": []}, "`classes` must list"),
        ({"outputs": "softmax"}, "`outputs` must be 'auto'"),
        ({"inference": "fast"}, "`inference` must be 'auto'"),
        ({"inputs": 3}, "`inputs` must be None.*Resizing"),
    ],
)
def test_arguments(arguments, said):
    with pytest.raises(ValueError, match=said):
        Frozen(of_layers(), **arguments)


def test_a_headless_backbone_teaches_by_relations():
    teacher = keras.Sequential([keras.Input((5,)), keras.layers.Dense(16, name="features")])
    student = of_layers()
    loss = kd_keras.losses.SimilarityPreserving("features", student.layers[-1].name)
    _, history = fitted(teacher, student, loss)
    assert np.isfinite(history["loss"]).all()
    assert "agreement" not in history


def test_layers_in_which_nothing_trains_may_be_shared():
    normal = keras.layers.Normalization()
    normal.adapt(X)
    words = keras.layers.TextVectorization(output_sequence_length=4)
    words.adapt(["a b c d", "b c"])
    embedding = keras.layers.Embedding(8, 5, trainable=False)

    def of(shared, *layers):
        return keras.Sequential([*layers, shared, keras.layers.Dense(3)])

    networks = [of(normal, keras.Input((5,))) for _ in range(2)]
    distiller, _ = fitted(*networks)
    assert len(distiller.trainable_weights) == 2
    pool = keras.layers.GlobalAveragePooling1D()
    texts = [
        keras.Sequential([keras.Input((), dtype="string"), words, embedding, pool, head])
        for head in (keras.layers.Dense(3), keras.layers.Dense(3))
    ]
    x = np.array(["a b", "c d", "b", "d d a"] * 3, dtype=object)
    distiller, history = fitted(*texts, x=keras.ops.convert_to_tensor(x.astype(str)))
    assert np.isfinite(history["loss"]).all()
    trained = keras.layers.Dense(5)
    with pytest.raises(ValueError, match="must not share layers that train"):
        kd_keras.Distiller(*[of(trained, keras.Input((5,))) for _ in range(2)], KLDivergence(2.0))
    norm = keras.layers.BatchNormalization(center=False, scale=False)  # statistics that move
    with pytest.raises(ValueError, match="must not share layers that train"):
        kd_keras.Distiller(*[of(norm, keras.Input((5,))) for _ in range(2)], KLDivergence(2.0))


def test_it_is_saved_with_the_distiller(tmp_path):
    frozen = Frozen(image_net(12, 1, 5), inputs=keras.layers.Resizing(12, 12), classes=[4, 1, 0])
    distiller, _ = fitted(frozen, image_net(8, 1), x=IMAGES)
    distiller.save(tmp_path / "distiller.keras")
    loaded = keras.models.load_model(tmp_path / "distiller.keras")
    assert isinstance(loaded.teacher, Frozen)
    assert loaded.teacher.classes == (4, 1, 0)
    assert loaded.evaluate(IMAGES, Y, verbose=0) == pytest.approx(
        distiller.evaluate(IMAGES, Y, verbose=0)
    )


def test_how_good_the_teacher_is_is_logged_while_it_teaches():
    teacher = of_layers()
    _, history = fitted(teacher, of_layers())
    right = (teacher(X).numpy().argmax(-1) == Y).mean()
    np.testing.assert_allclose(history["teacher_accuracy"], [right, right], rtol=1e-6)


def test_a_teacher_that_is_right_by_chance_is_warned_of_once(recwarn):
    keras.utils.set_random_seed(1)
    x = RANDOM.normal(size=(400, 5)).astype("float32")
    good = of_layers()
    y = good(x).numpy().argmax(-1)
    fitted(good, of_layers(), y=y, x=x)
    assert not [w for w in recwarn if "near chance" in str(w.message)]
    blind = of_layers()
    blind.set_weights([np.zeros((5, 3)), np.array([0.0, 1.0, 0.0])])
    balanced = np.arange(400) % 3
    with pytest.warns(UserWarning, match=r"near chance for 3 classes.*inputs=.*classes=") as found:
        fitted(blind, of_layers(), y=balanced, x=x)
    assert len([w for w in found if "near chance" in str(w.message)]) == 1


@pytest.mark.parametrize("end", [None, "softmax"])
def test_a_calibrated_teacher_teaches_as_one_with_divided_logits(end):
    teacher = of_layers(*([keras.layers.Softmax()] if end else []), units=4)
    divided = of_layers(units=3)
    kernel, bias = teacher.get_weights()
    chosen = [3, 0, 2]
    divided.set_weights([kernel[:, chosen] / 2.5, bias[chosen] / 2.5])
    student = of_layers()
    begun = student.get_weights()
    _, found = fitted(Frozen(teacher, classes=chosen, temperature=2.5), student)
    student.set_weights(begun)
    _, expected = fitted(divided, student)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-5, err_msg=name)


def test_the_temperature_of_a_teacher_is_checked_and_saved():
    with pytest.raises(ValueError, match="`temperature` must be"):
        Frozen(of_layers(), temperature=0.0)
    frozen = Frozen(of_layers(), temperature=np.float32(2.0))
    again = Frozen.from_config(frozen.get_config())
    again.model.set_weights(frozen.model.get_weights())
    np.testing.assert_allclose(again(X), frozen(X))
    np.testing.assert_allclose(frozen(X), frozen.model(X) / 2.0, rtol=1e-6)
