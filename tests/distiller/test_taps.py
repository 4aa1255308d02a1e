"""Feature losses on functional, Sequential and subclassed models."""

import keras
import numpy as np
import pytest

import kd_keras
from tests.conftest import sparse_crossentropy


def feature(teacher_layer="hidden", student_layer="hidden"):
    return keras.distillation.FeatureDistillation("mse", teacher_layer, student_layer)


def functional(name="functional"):
    inputs = keras.Input((5,))
    hidden = keras.layers.Dense(4, activation="relu", name="hidden")(inputs)
    return keras.Model(inputs, keras.layers.Dense(3, name="logits")(hidden), name=name)


def sequential(built=True):
    layers = [
        keras.layers.Dense(4, activation="relu", name="hidden"),
        keras.layers.Dense(3, name="logits"),
    ]
    return keras.Sequential(([keras.Input((5,))] if built else []) + layers)


class ReturnsDict(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first = keras.layers.Dense(4, activation="relu", name="first")
        self.second = keras.layers.Dense(3, name="second")

    def call(self, inputs):
        hidden = self.first(inputs)
        return {"logits": self.second(hidden), "hidden": hidden}


class ReturnsLogits(ReturnsDict):
    def call(self, inputs):
        return super().call(inputs)["logits"]


@pytest.fixture
def data():
    random = np.random.default_rng(0)
    return random.normal(size=(16, 5)).astype("float32"), random.integers(0, 3, 16)


@pytest.mark.parametrize("make", [functional, sequential, lambda: sequential(built=False)])
def test_the_tapped_value_is_the_layers_output(make, data):
    x, y = data
    distiller = kd_keras.Distiller(functional("t"), make(), feature())
    distiller.compile("sgd", sparse_crossentropy())
    logs = distiller.evaluate(x, y, verbose=0, return_dict=True)
    outputs = [
        model.get_layer("hidden")(x).numpy() for model in (distiller.teacher, distiller.student)
    ]
    assert logs["distillation_loss"] == pytest.approx(((outputs[0] - outputs[1]) ** 2).mean())
    before = distiller.student.get_weights()
    distiller.fit(x, y, verbose=0)
    assert not np.array_equal(before[0], distiller.student.get_weights()[0])


def test_subclassed_models_that_return_a_dict_are_tapped_by_key(data):
    x, y = data
    losses = [
        feature(),
        kd_keras.losses.KLDivergence(2.0, teacher_layer_name="logits", student_layer_name="logits"),
    ]
    distiller = kd_keras.Distiller(ReturnsDict(), ReturnsDict(), losses)
    distiller.compile("sgd", {"logits": sparse_crossentropy()}, metrics={"logits": ["accuracy"]})
    logs = distiller.evaluate(x, {"logits": y}, verbose=0, return_dict=True)
    taps = [model(x)["hidden"].numpy() for model in (distiller.teacher, distiller.student)]
    assert logs["feature_distillation"] == pytest.approx(((taps[0] - taps[1]) ** 2).mean())
    predicted = distiller.student(x)["logits"].numpy().argmax(-1)
    agreed = distiller.teacher(x)["logits"].numpy().argmax(-1) == predicted
    assert logs["agreement"] == pytest.approx(agreed.mean())
    history = distiller.fit(x, {"logits": y}, verbose=0).history
    assert np.isfinite(history["loss"]).all()


def test_subclassed_models_without_a_dict_get_an_error_that_lists_the_layers(data):
    x, y = data
    distiller = kd_keras.Distiller(functional(), ReturnsLogits(), feature())
    distiller.compile("sgd", sparse_crossentropy())
    with pytest.raises(ValueError, match=r"must be a key of the dict.*'first', 'second'"):
        distiller.fit(x, y, verbose=0)


def test_a_dict_without_the_key_gets_an_error_that_lists_the_keys(data):
    x, y = data
    distiller = kd_keras.Distiller(functional(), ReturnsDict(), feature("hidden", "other"))
    distiller.compile("sgd", {"logits": sparse_crossentropy()})
    with pytest.raises(ValueError, match=r"keys \['hidden', 'logits'\]"):
        distiller.fit(x, {"logits": y}, verbose=0)


@pytest.mark.parametrize("role", ["teacher", "student"])
def test_an_unknown_layer_name_lists_the_layers_at_once(role):
    names = {"teacher": "hidden", "student": "hidden", role: "hiden"}
    with pytest.raises(ValueError, match=rf"The {role} .*'hiden'.*'hidden', 'logits'"):
        kd_keras.Distiller(functional(), functional(), feature(names["teacher"], names["student"]))


def test_a_layer_inside_a_nested_model_is_explained():
    inner = functional("inner")
    inputs = keras.Input((5,))
    outer = keras.Model(inputs, inner(inputs))
    with pytest.raises(
        ValueError, match="inside the nested model 'inner': tap it as 'inner/hidden'"
    ):
        kd_keras.Distiller(functional(), outer, feature())


def test_a_layer_called_twice_is_refused_and_a_shared_one_read_in_the_right_model(data):
    hidden = keras.layers.Dense(5, name="hidden")
    inputs = keras.Input((5,))
    twice = keras.Model(inputs, keras.layers.Dense(3)(hidden(hidden(inputs))))
    with pytest.raises(ValueError, match="called 2 times"):
        kd_keras.Distiller(functional(), twice, feature("logits", "hidden"))
    # The same layer used first in another model: `layer.output` would be that model's tensor.
    hidden = keras.layers.Dense(4, name="hidden")
    keras.Model(inputs, hidden(inputs))
    again = keras.Input((5,))
    student = keras.Model(again, keras.layers.Dense(3)(hidden(again)))
    distiller = kd_keras.Distiller(functional(), student, feature())
    distiller.compile("sgd", sparse_crossentropy())
    assert np.isfinite(distiller.evaluate(*data, verbose=0)).all()


def test_a_loss_may_tap_one_side_only(data):
    x, y = data
    loss = keras.distillation.FeatureDistillation("mse", student_layer_name="logits")
    distiller = kd_keras.Distiller(functional(), functional(), loss)
    distiller.compile("sgd", sparse_crossentropy())
    logs = distiller.evaluate(x, y, verbose=0, return_dict=True)
    gap = (distiller.teacher(x) - distiller.student(x)).numpy()
    assert logs["distillation_loss"] == pytest.approx((gap**2).mean(), rel=1e-5)


@keras.saving.register_keras_serializable(package="tests")
class ProjectedHint(keras.distillation.DistillationLoss):
    """A third party's feature loss that owns a layer and asks for `y`."""

    def __init__(self, width):
        self.width = width
        self.teacher_layer_name = "hidden"
        self.student_layer_name = "logits"
        self.projection = keras.layers.Dense(width, name="projection")
        self.seen = []

    def per_example(self, teacher_outputs, student_outputs, y):
        self.seen.append(y is not None)
        gap = teacher_outputs - self.projection(student_outputs)
        return keras.ops.mean(keras.ops.square(gap), axis=-1)

    def get_config(self):
        return {"width": self.width}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def test_layers_of_a_loss_train_with_the_student_are_saved_and_never_leave_with_it(data, tmp_path):
    x, y = data
    loss = ProjectedHint(4)
    distiller = kd_keras.Distiller(functional("t"), functional("s"), loss)
    distiller.compile("sgd", sparse_crossentropy())
    distiller.fit(x, y, verbose=0)
    assert all(loss.seen)
    assert not loss.projection.built  # what is passed is a description
    loss = distiller.losses_in_use[0]
    assert len(distiller.trainable_variables) == 4 + 2
    kernel = np.asarray(loss.projection.kernel)
    distiller.fit(x, y, verbose=0)
    assert not np.array_equal(kernel, loss.projection.kernel)
    assert len(distiller.student.weights) == 4

    distiller.save(tmp_path / "distiller.keras")
    loaded = keras.models.load_model(tmp_path / "distiller.keras")
    np.testing.assert_array_equal(loaded.losses_in_use[0].projection.kernel, loss.projection.kernel)
    assert loaded.evaluate(x, y, verbose=0) == pytest.approx(distiller.evaluate(x, y, verbose=0))


class ReturnsFeature(keras.Model):
    def __init__(self, width):
        super().__init__()
        self.hidden = keras.layers.Dense(width)
        self.head = keras.layers.Dense(3)

    def call(self, inputs):
        hidden = self.hidden(inputs)
        return {"logits": self.head(hidden), "hidden": hidden}


class ProjectedMSE(kd_keras.losses.Loss):
    def __init__(self, width):
        super().__init__("hidden", "hidden")
        self.project = keras.layers.Dense(width)

    def per_example(self, teacher_outputs, student_outputs):
        difference = teacher_outputs - self.project(student_outputs)
        return keras.ops.mean(difference**2, axis=-1)


@pytest.mark.parametrize("compiled", ["by name", "one loss", "no labels"])
def test_tapped_features_of_a_dict_may_differ_in_width_and_count_nothing_in_agreement(
    compiled, data
):
    x, y = data
    labels = {"logits": y}
    loss = {"by name": {"logits": sparse_crossentropy()}, "one loss": sparse_crossentropy()}
    logits = kd_keras.losses.KLDivergence(2.0, "logits", "logits")
    for width in (8, 4):  # with the same width, features have a largest unit too
        teacher, student = ReturnsFeature(width), ReturnsFeature(4)
        weight = 0.0 if compiled == "no labels" else 0.5
        distiller = kd_keras.Distiller(
            teacher, student, [logits, ProjectedMSE(width)], student_loss_weight=weight
        )
        distiller.compile(keras.optimizers.SGD(0.0), loss.get(compiled))
        given = None if compiled == "no labels" else labels
        history = distiller.fit(x, given, verbose=0).history
        picks = [np.argmax(model(x)["logits"], axis=-1) for model in (teacher, student)]
        assert history["agreement"][0] == pytest.approx((picks[0] == picks[1]).mean(), abs=1e-6)
        assert np.isfinite(history["loss"]).all()


@pytest.mark.parametrize(
    "loss", [kd_keras.losses.KLDivergence(2.0), keras.distillation.FeatureDistillation("mse")]
)
def test_classes_that_differ_in_a_dict_are_refused_where_a_loss_compares_outputs(data, loss):
    class OneMore(ReturnsFeature):
        def __init__(self):
            super().__init__(4)
            self.head = keras.layers.Dense(5)

    x, y = data
    distiller = kd_keras.Distiller(OneMore(), ReturnsFeature(4), loss)
    distiller.compile("sgd", {"logits": sparse_crossentropy()})
    with pytest.raises(ValueError, match="give the student's last layer 5 units"):
        distiller.fit(x, {"logits": y}, verbose=0)
    # Features ask nothing of the classes, and then there is no agreement to speak of.
    distiller = kd_keras.Distiller(OneMore(), ReturnsFeature(4), ProjectedMSE(4))
    distiller.compile("sgd", {"logits": sparse_crossentropy()})
    history = distiller.fit(x, {"logits": y}, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert "agreement" not in history
