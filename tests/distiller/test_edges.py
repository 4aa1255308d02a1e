"""Right values at the edges of the step: what losses see, overrides, leaks, names, ranks."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kd_keras
from kd_keras.losses import BinaryKLDivergence, DecoupledKD, KLDivergence, LogitsMSE
from kd_keras.training.term import own_copy
from tests.conftest import sparse_crossentropy

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(12, 5)).astype("float32")
Y = np.arange(12) % 3


def net(units=3, features=5):
    return keras.Sequential([keras.Input((features,)), keras.layers.Dense(units, name="logits")])


def made(loss=None, kind=kd_keras.Distiller, teacher=None, student=None, **kwargs):
    return kind(teacher or net(), student or net(), loss or KLDivergence(2.0), **kwargs)


def logs_of(distiller, x=X, y=Y, loss=None, **compiled):
    distiller.compile("sgd", loss or sparse_crossentropy(), **compiled)
    return distiller.evaluate(x, y, batch_size=len(Y), verbose=0, return_dict=True)


# What a loss may look at.


def test_a_softmax_of_independent_labels_is_refused_and_the_remedies_are_right():
    teacher, student = net(), net()
    y = (RANDOM.uniform(size=(12, 3)) > 0.5).astype("float32")
    binary = keras.losses.BinaryCrossentropy(from_logits=True)
    for loss in (KLDivergence(2.0), DecoupledKD(), kd_keras.losses.DIST()):
        with pytest.raises(ValueError, match=r"independent.*BinaryKLDivergence.*LogitsMSE"):
            logs_of(made(loss, teacher=teacher, student=student), y=y, loss=binary)
    logs = logs_of(
        made(BinaryKLDivergence(2.0), teacher=teacher, student=student), y=y, loss=binary
    )
    p, q = (1 / (1 + np.exp(-np.asarray(model(X)) / 2.0)) for model in (teacher, student))
    expected = 4 * (p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))).sum(-1).mean()
    assert logs["distillation_loss"] == pytest.approx(expected, rel=1e-4)
    assert "agreement" not in logs  # none of them is picked
    logs = logs_of(made(LogitsMSE(), teacher=teacher, student=student), y=y, loss=binary)
    assert logs["distillation_loss"] == pytest.approx(
        np.mean((teacher(X) - student(X)) ** 2), rel=1e-4
    )


def heads(features=None):
    inputs = keras.Input((5,))
    outputs = {
        "cls": keras.layers.Dense(3, name="cls")(inputs),
        "box": keras.layers.Dense(4, name="box")(inputs),
    }
    if features:
        outputs["features"] = keras.layers.Dense(features, name="features")(inputs)
    return keras.Model(inputs, outputs)


def test_a_loss_between_logits_sees_the_outputs_that_are_classes():
    teacher, student = heads(), heads()
    y = {"cls": Y, "box": RANDOM.normal(size=(12, 4)).astype("float32")}
    for box in ("mse", keras.losses.Huber()):
        distiller = made(teacher=teacher, student=student)
        logs = logs_of(distiller, y=y, loss={"cls": sparse_crossentropy(), "box": box})
        expected = KLDivergence(2.0).compute_loss(teacher(X)["cls"], student(X)["cls"])
        assert logs["distillation_loss"] == pytest.approx(float(expected), rel=1e-5)
        agreed = [np.argmax(model(X)["cls"], -1) for model in (teacher, student)]
        assert logs["agreement"] == pytest.approx((agreed[0] == agreed[1]).mean())


def test_what_is_ignored_counts_nothing_in_the_distillation_either():
    inputs = keras.Input((6, 5))
    teacher, student = (keras.Model(inputs, keras.layers.Dense(3)(inputs)) for _ in range(2))
    x = RANDOM.normal(size=(4, 6, 5)).astype("float32")
    y = RANDOM.integers(0, 3, (4, 6))
    valid = np.arange(6)[None] < np.array([[2], [6], [1], [3]])
    y[~valid] = -100
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-100)
    for distillation in (KLDivergence(2.0), DecoupledKD(2.0)):
        distiller = made(distillation, teacher=teacher, student=student)
        distiller.compile("sgd", loss)
        logs = distiller.evaluate(x, y, batch_size=4, verbose=0, return_dict=True)
        pair = [np.asarray(model(x))[valid] for model in (teacher, student)]
        extra = {"y": y[valid]} if isinstance(distillation, DecoupledKD) else {}
        expected = distillation.compute_loss(*pair, **extra)
        assert logs["distillation_loss"] == pytest.approx(float(expected), rel=1e-4)
        agreed = pair[0].argmax(-1) == pair[1].argmax(-1)
        assert logs["agreement"] == pytest.approx(agreed.mean(), abs=1e-6)


def test_class_weights_of_independent_labels_are_refused():
    y = (RANDOM.uniform(size=(12, 3)) > 0.5).astype("float32")
    distiller = made(LogitsMSE())
    distiller.compile("sgd", keras.losses.BinaryCrossentropy(from_logits=True))
    for method in (distiller.fit, distiller.train_on_batch):
        with pytest.raises(ValueError, match="`class_weight` works for one label"):
            method(X, y, class_weight={0: 1.0, 1: 2.0, 2: 3.0})


def test_class_weights_of_dense_labels_are_refused_on_one_batch_too():
    inputs = keras.Input((4, 5))
    networks = [keras.Model(inputs, keras.layers.Dense(3)(inputs)) for _ in range(2)]
    distiller = kd_keras.Distiller(*networks, KLDivergence())
    distiller.compile("sgd", sparse_crossentropy())
    with pytest.raises(ValueError, match="`class_weight` works for one label"):
        distiller.train_on_batch(
            np.zeros((4, 4, 5), "float32"), np.zeros((4, 4), int), class_weight={0: 1.0, 1: 9.0}
        )


@pytest.mark.parametrize(
    ("metric", "remedy"),
    [
        ("accuracy", "threshold=0.0"),
        ("binary_crossentropy", "from_logits=True"),
        (keras.metrics.BinaryAccuracy(), "threshold=0.0"),
        (keras.metrics.Precision(), "thresholds=0.0"),
        (keras.metrics.AUC(), "from_logits=True"),
    ],
)
def test_metrics_that_take_one_logit_for_a_probability_are_warned_of(metric, remedy):
    distiller = made(teacher=net(1), student=net(1))
    with pytest.warns(UserWarning, match=f"returns logits, but the metric.*{remedy}"):
        distiller.compile(
            "sgd", keras.losses.BinaryCrossentropy(from_logits=True), metrics=[metric]
        )


def test_metrics_that_are_right_on_logits_are_not_warned_of(recwarn):
    right = [keras.metrics.BinaryAccuracy(threshold=0.0), keras.metrics.AUC(from_logits=True)]
    distiller = made(teacher=net(1), student=net(1))
    distiller.compile("sgd", keras.losses.BinaryCrossentropy(from_logits=True), metrics=right)
    made().compile("sgd", sparse_crossentropy(), metrics=["accuracy"])
    assert not [w for w in recwarn if "metric" in str(w.message)]


# A drop-in acts on what is overridden or set.


def test_an_overridden_compute_loss_is_what_is_minimised_and_logged():
    class Doubled(kd_keras.Distiller):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            return 2 * super().compute_loss(x, y, y_pred, sample_weight, training)

    class Own(kd_keras.Distiller):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            return keras.ops.mean(y_pred**2)

    teacher, student = net(), net()
    plain = logs_of(made(teacher=teacher, student=student))
    doubled = logs_of(made(kind=Doubled, teacher=teacher, student=student))
    assert doubled["loss"] == pytest.approx(2 * plain["loss"], rel=1e-5)
    assert doubled["student_loss"] == pytest.approx(plain["student_loss"], rel=1e-6)
    own = made(kind=Own, teacher=teacher, student=student)
    assert logs_of(own)["loss"] == pytest.approx(np.mean(student(X) ** 2), rel=1e-5)
    before = np.mean(student(X) ** 2)
    own.fit(X, Y, epochs=3, verbose=0)
    assert np.mean(student(X) ** 2) < before


def test_an_overridden_call_is_what_the_student_says_in_the_step():
    class Halved(kd_keras.Distiller):
        def call(self, inputs, training=None):
            return 0.5 * super().call(inputs, training)

    teacher, student = net(), net()
    logs = logs_of(made(kind=Halved, teacher=teacher, student=student))
    expected = KLDivergence(2.0).compute_loss(teacher(X), 0.5 * student(X))
    assert logs["distillation_loss"] == pytest.approx(float(expected), rel=1e-5)
    feature = keras.distillation.FeatureDistillation("mse", "logits", "logits")
    with pytest.raises(ValueError, match="`call` is overridden, and a loss taps"):
        made(feature, kind=Halved)


def test_attributes_that_are_set_before_a_new_compile_act():
    distiller = made(student_loss_weight=0.5)
    first = logs_of(distiller)
    distiller.student_loss_weight = 0.9
    with pytest.raises(ValueError, match=r"\['student_loss_weight'\].*Call `compile` again"):
        distiller.evaluate(X, Y, verbose=0)
    second = logs_of(distiller)
    mixed = 0.9 * first["student_loss"] + 0.1 * first["distillation_loss"]
    assert second["loss"] == pytest.approx(mixed, rel=1e-5)
    distiller.distillation_losses = [LogitsMSE(), KLDivergence(1.0)]
    distiller.distillation_loss_weights = [1.0, 0.0]
    distiller.combine, distiller.student_loss_weight = "sum", 1.0
    third = logs_of(distiller)
    expected = np.mean((distiller.teacher(X) - distiller.student(X)) ** 2)
    assert third["distillation_loss"] == pytest.approx(expected, rel=1e-5)
    assert third["loss"] == pytest.approx(third["student_loss"] + expected, rel=1e-5)
    other = net()
    distiller.student = other
    logs_of(distiller)
    distiller.fit(X, Y, verbose=0)
    assert {id(v) for v in distiller.trainable_weights} == {id(v) for v in other.weights}


# Nothing leaks from one Distiller into another.


def test_one_loss_serves_many_distillers_and_none_is_changed():
    loss = kd_keras.losses.Hint(
        teacher_layer_name="hidden", student_layer_name=lambda model: model.layers[0]
    )

    def tower(width, name):
        layers = [keras.layers.Dense(width, name=name), keras.layers.Dense(3)]
        return keras.Sequential([keras.Input((5,)), *layers])

    teacher = tower(8, "hidden")
    folds = []
    for name in ("first", "second"):
        keras.utils.set_random_seed(7)
        distiller = kd_keras.Distiller(teacher, tower(4, name), loss)
        distiller.compile("sgd", sparse_crossentropy())
        folds.append(distiller.fit(X, Y, epochs=2, shuffle=False, verbose=0).history["loss"])
        assert distiller.losses_in_use[0].student_layer_name == name
        assert distiller.losses_in_use[0].built and not loss.built
    assert folds[0] == pytest.approx(folds[1], rel=1e-5)


@pytest.mark.parametrize(
    "loss",
    [
        kd_keras.losses.Hint("a", "a"),
        kd_keras.losses.InBatchContrast("a", "a"),
        kd_keras.losses.ContrastiveRepresentation(20, "a", "a"),
        kd_keras.losses.KnowledgeReview(["a", "b"], ["a", "b"]),
        kd_keras.losses.OverhaulFeature(["a"], ["a"]),
        kd_keras.losses.VariationalInformation("a", "a"),
    ],
    ids=lambda loss: type(loss).__name__,
)
def test_every_layer_of_a_loss_is_made_anew_for_a_distiller(loss):
    layers = [
        {id(layer) for value in vars(each).values() for layer in keras.tree.flatten(value)}
        & {id(v) for v in keras.tree.flatten(list(vars(each).values())) if hasattr(v, "weights")}
        for each in (loss, own_copy(loss))
    ]
    assert len(layers[0]) == len(layers[1]) > 0
    assert not layers[0] & layers[1]


def test_a_networks_weights_inside_a_loss_stay_those_that_were_given():
    critic = net(2, 3)

    class Perceptual(kd_keras.losses.Loss):
        def __init__(self):
            super().__init__()
            self.critic = critic

        def per_example(self, teacher_outputs, student_outputs):
            return keras.ops.mean((critic(teacher_outputs) - critic(student_outputs)) ** 2, -1)

    critic.trainable = False
    distiller = made(Perceptual())
    assert distiller.losses_in_use[0].critic is critic
    critic.trainable = True
    copied = made(Perceptual()).losses_in_use[0].critic
    assert copied is not critic
    np.testing.assert_array_equal(copied.get_weights()[0], critic.get_weights()[0])


# Names, emptiness, ranks, constants, export, the count of steps.


def test_names_of_ours_are_not_overwritten_in_the_logs():
    class StudentLoss(kd_keras.losses.LogitsMSE):
        pass

    logs = logs_of(made([StudentLoss(), KLDivergence(2.0)]))
    assert {"student_loss", "student_loss_1", "kl_divergence"} <= set(logs)
    metric = keras.metrics.MeanSquaredError(name="agreement")
    with pytest.raises(ValueError, match=r"\['agreement'\]"):
        made().compile("sgd", sparse_crossentropy(), metrics=[metric])
    inputs = keras.Input((5,))
    two = [
        keras.Model(
            inputs,
            {name: keras.layers.Dense(3, name=name)(inputs) for name in ("student", "other")},
        )
        for _ in range(2)
    ]
    with pytest.raises(ValueError, match=r"\['student_loss'\]"):
        kd_keras.Distiller(*two, KLDivergence()).compile("sgd", sparse_crossentropy())


def test_empty_training_data_are_refused_beside_validation_data():
    full = tf.data.Dataset.from_tensor_slices((X, Y)).batch(4)
    empty = full.filter(lambda x, y: tf.reduce_all(y > 5))
    for model in (made(), kd_keras.Supervised(net())):
        model.compile("sgd", sparse_crossentropy())
        with pytest.raises(ValueError, match="`x` is empty"):
            model.fit(empty, validation_data=full, verbose=0)
        with pytest.raises(ValueError, match="`validation_data` is empty"):
            model.fit(full, validation_data=empty, verbose=0)


@pytest.mark.parametrize(
    "augmentation",
    [
        lambda: keras.layers.RandomFlip("vertical", seed=0),
        lambda: keras.Sequential([keras.layers.Identity(), keras.layers.RandomFlip("vertical")]),
        lambda: keras.layers.Pipeline([keras.layers.RandomRotation(0.2)]),
        lambda: kd_keras.augment.RandomFlip("vertical"),
        lambda: kd_keras.augment.standard(),
    ],
    ids=["bare", "sequential", "pipeline", "ours", "policy"],
)
def test_images_without_channels_are_refused_before_their_rows_move(augmentation):
    x = np.zeros((16, 28, 28), "float32")
    network = [keras.layers.Flatten(), keras.layers.Dense(3)]
    student = keras.Sequential([keras.Input((28, 28)), *network])
    model = kd_keras.Supervised(student, augmentation())
    model.compile("sgd", sparse_crossentropy())
    with pytest.raises(ValueError, match=r"x\[\.\.\., None\]"):
        model.fit(x, np.zeros(16, int), verbose=0)


def test_randomness_that_is_drawn_once_is_refused():
    def once(x):
        return x + np.random.normal(size=x.shape[1:]).astype("float32")

    class Layer(keras.layers.Layer):
        def call(self, x):
            return x + np.random.normal()

    def right(x, step):
        return x + tf.random.stateless_normal(tf.shape(x), [1, step])

    for augmentation in (once, Layer(), [right, once]):
        model = made(augmentation=augmentation)
        model.compile("sgd", sparse_crossentropy())
        with pytest.raises(ValueError, match="NumPy or Python.*every step would see the same view"):
            model.fit(X, Y, verbose=0)
    generator = tf.random.Generator.from_seed(1)
    state = np.asarray(generator.state)
    for fine in (right, lambda x: x + tf.random.normal(tf.shape(x)), lambda x: x + 1.0):
        model = made(augmentation=fine)
        model.compile("sgd", sparse_crossentropy())
        model.fit(X, Y, verbose=0)
    model = made(augmentation=lambda x: x + generator.normal(tf.shape(x)))
    model.compile("sgd", sparse_crossentropy())
    model.fit(X, Y, batch_size=12, verbose=0)
    advanced = np.asarray(generator.state) - state
    again = tf.random.Generator.from_seed(1)
    again.normal((12, 5))
    np.testing.assert_array_equal(advanced, np.asarray(again.state) - state)


def test_export_exports_the_student(tmp_path):
    distiller = made()
    distiller.compile("sgd", sparse_crossentropy())
    distiller.fit(X, Y, verbose=0)
    distiller.export(tmp_path / "student", verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "student"))
    np.testing.assert_allclose(loaded.serve(tf.constant(X)), distiller.student(X), rtol=1e-5)


def test_restoring_the_best_weights_does_not_turn_the_count_of_steps_back():
    distiller = made()
    distiller.compile(keras.optimizers.SGD(0.0), sparse_crossentropy())
    stopping = keras.callbacks.EarlyStopping("loss", patience=2, restore_best_weights=True)
    distiller.fit(X, Y, batch_size=6, epochs=6, callbacks=[stopping], verbose=0)
    assert int(distiller.step) == int(distiller.optimizer.iterations) > 2


def test_a_network_that_preprocesses_in_its_own_fit_is_refused_with_what_to_write():
    class Task(keras.Sequential):
        def __init__(self):
            super().__init__([keras.Input((5,)), keras.layers.Dense(3)])
            self.backbone = self.layers[0]
            self.preprocessor = keras.layers.Rescaling(0.1)

    task, student = Task(), net()
    with pytest.raises(ValueError, match="has a preprocessor.*Frozen.teacher, inputs=teacher.prep"):
        kd_keras.Distiller(task, student, KLDivergence(2.0))
    with pytest.raises(ValueError, match="The student.*has a preprocessor"):
        kd_keras.Supervised(Task())
    frozen = kd_keras.teachers.Frozen(task, inputs=task.preprocessor)
    logs = logs_of(kd_keras.Distiller(frozen, student, KLDivergence(2.0)))
    expected = KLDivergence(2.0).compute_loss(task(0.1 * X), student(X))
    assert logs["distillation_loss"] == pytest.approx(float(expected), rel=1e-5)
    task.preprocessor = None
    kd_keras.Distiller(task, student, KLDivergence(2.0))


def test_data_that_are_not_batched_and_labels_of_another_form_are_named():
    categorical = keras.losses.CategoricalCrossentropy(from_logits=True)
    for model in (made(), kd_keras.Supervised(net())):
        model.compile("sgd", sparse_crossentropy())
        with pytest.raises(ValueError, match=r"not batched.*\(None, 5\).*`dataset.batch\(32\)`"):
            model.fit(tf.data.Dataset.from_tensor_slices((X, Y)), verbose=0)
        with pytest.raises(ValueError, match="takes class ids.*CategoricalCrossentropy"):
            model.fit(X, np.eye(3)[Y], verbose=0)
        model.compile("sgd", categorical)
        with pytest.raises(ValueError, match="takes one value per class.*SparseCategorical"):
            model.fit(X, Y, verbose=0)
        model.fit(X, np.eye(3)[Y], verbose=0)


@pytest.mark.parametrize(
    ("monitored", "best"),
    [("val_agreement", max), ("teacher_accuracy", max), ("val_student_loss", min)],
)
def test_callbacks_know_which_way_our_logs_are_better(monitored, best):
    distiller = made(KLDivergence(2.0))
    distiller.compile("sgd", sparse_crossentropy(), metrics=["accuracy"])
    stop = keras.callbacks.EarlyStopping(monitor=monitored, mode="auto")
    distiller.fit(X, Y, validation_data=(X, Y), epochs=1, verbose=0, callbacks=[stop])
    assert bool(stop.monitor_op(2.0, 1.0)) == (best(2.0, 1.0) == 2.0)
    assert "directions" not in distiller.evaluate(X, Y, verbose=0, return_dict=True)
    assert "directions" not in [metric.name for metric in distiller.metrics]
