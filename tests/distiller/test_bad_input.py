"""What is refused, and that the message says what to do."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kd_keras
from kd_keras import Supervised
from kd_keras.losses import KLDivergence
from tests.conftest import sparse_crossentropy


def net(units=3, features=5, activation=None):
    return keras.Sequential(
        [keras.Input((features,)), keras.layers.Dense(units, activation=activation)]
    )


def compiled(loss=None, **kwargs):
    distiller = kd_keras.Distiller(net(), net(), KLDivergence(), **kwargs)
    distiller.compile("sgd", loss or sparse_crossentropy())
    return distiller


X = np.random.default_rng(0).normal(size=(12, 5)).astype("float32")
Y = np.arange(12) % 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("teacher", net(), KLDivergence()), "`teacher` must be a keras.Model.*str"),
        ((net(), "student", KLDivergence()), "`student` must be a keras.Model.*str"),
        ((net(3), net(4), KLDivergence()), r"\(None, 3\), student \(None, 4\).*last layer 3 units"),
        ((net(), net(features=6), KLDivergence()), "input shapes are incompatible"),
        ((net(), net(), None), "`distillation_losses` cannot be `None`"),
        ((net(), net(), []), "at least one loss"),
        ((net(), net(), keras.losses.KLDivergence()), "KLDivergence, which compares predictions"),
        ((net(), net(), "mse"), "Received: 'mse'"),
        ((net(), net(), object()), "compute_loss"),
        ((net(), net(), [KLDivergence()], [1.0, 2.0]), r"\(2\) must match"),
        ((net(), net(), [KLDivergence()], [-1.0]), "a finite number >= 0"),
        ((net(), net(), KLDivergence(), None, 1.5), r"in \[0, 1\].*1.5"),
        ((net(), net(), KLDivergence(), None, "half"), "must be a finite number.*half"),
    ],
)
def test_constructor_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        kd_keras.Distiller(*arguments)


def test_combine():
    with pytest.raises(ValueError, match=r"`combine` must be 'convex'.*or 'sum'.*'mean'"):
        kd_keras.Distiller(net(), net(), KLDivergence(), combine="mean")
    with pytest.raises(ValueError, match="has weight 1.*student_loss_weight=0.1"):
        kd_keras.Distiller(net(), net(), KLDivergence(), None, 0.1, combine="sum")


def test_a_teacher_that_shares_layers_with_the_student():
    shared = keras.layers.Dense(4, name="shared")
    models = []
    for _ in range(2):
        inputs = keras.Input((5,))
        models.append(keras.Model(inputs, keras.layers.Dense(3)(shared(inputs))))
    with pytest.raises(ValueError, match=r"must not share layers.*\['shared'\]"):
        kd_keras.Distiller(*models, KLDivergence())
    assert all(model.trainable for model in models)
    with pytest.raises(ValueError, match="must not share layers"):
        kd_keras.Distiller(models[0], models[0], KLDivergence())


def test_class_counts_of_subclassed_models_are_compared_at_the_first_step():
    class Plain(keras.Model):
        def __init__(self, units):
            super().__init__()
            self.dense = keras.layers.Dense(units)

        def call(self, x):
            return self.dense(x)

    feature = keras.distillation.FeatureDistillation("mse")
    distiller = kd_keras.Distiller(Plain(3), Plain(4), feature)
    distiller.compile("sgd", sparse_crossentropy())
    with pytest.raises(ValueError, match="same classes: give the student's last layer 3 units"):
        distiller.fit(X, Y, verbose=0)


def test_compile_without_a_loss():
    distiller = kd_keras.Distiller(net(), net(), KLDivergence())
    with pytest.raises(ValueError, match=r"'loss' cannot be `None`.*student_loss_weight=0"):
        distiller.compile("sgd")


def test_labels_out_of_range():
    for bad, shown in ((3, "0 3"), (-1, "-1 2")):
        labels = Y.copy()
        labels[5] = bad
        distiller = compiled()
        before = distiller.student.get_weights()
        with pytest.raises(ValueError, match=rf"class ids 0..2.*{shown}"):
            distiller.fit(X, labels, verbose=0)
        np.testing.assert_array_equal(before[0], distiller.student.get_weights()[0])


@pytest.mark.parametrize("bad", [0.5, float("nan")])
def test_labels_that_are_no_whole_numbers(bad):
    labels = Y.astype("float32")
    assert np.isfinite(compiled().train_on_batch(X, labels)).all()  # 2.0 is a class id
    labels[5] = bad
    distiller = compiled()
    before = distiller.student.get_weights()
    for use in (distiller.evaluate, distiller.fit):
        with pytest.raises(ValueError, match=rf"class ids, which are whole.*Received.*{bad}"):
            use(X, labels, verbose=0)
    with pytest.raises(ValueError, match="class ids, which are whole"):
        distiller.train_on_batch(X, labels)
    np.testing.assert_array_equal(before[0], distiller.student.get_weights()[0])


def test_complex_numbers():
    for x, y, name in ((X.astype("complex64"), Y, "x"), (X, Y.astype("complex128"), "y")):
        for use in (compiled().fit, compiled().evaluate):
            with pytest.raises(ValueError, match=f"`{name}` must be of real numbers.*complex"):
                use(x, y, verbose=0)
    supervised = Supervised(net())
    supervised.compile("sgd", sparse_crossentropy())
    batches = tf.data.Dataset.from_tensors((X.astype("complex64"), Y))
    for use in (supervised.fit, lambda data: kd_keras.evaluate.predict_logits(net(), data)):
        with pytest.raises(ValueError, match="`x` must be of real numbers.*complex64"):
            use(batches)


def test_an_ignored_class_is_in_range():
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1)
    labels = Y.copy()
    labels[5] = -1
    assert np.isfinite(compiled(loss).fit(X, labels, verbose=0).history["loss"]).all()


def test_a_student_without_trainable_weights():
    distiller = compiled()
    distiller.student.trainable = False
    with pytest.raises(ValueError, match="no trainable weights.*student.trainable = True"):
        distiller.fit(X, Y, verbose=0)


def test_missing_labels():
    with pytest.raises(ValueError, match="has no labels.*student_loss_weight=0"):
        compiled().fit(X, verbose=0)


def test_a_dataset_of_dicts_is_all_inputs():
    dataset = tf.data.Dataset.from_tensor_slices({"image": X, "label": Y}).batch(4)
    with pytest.raises(ValueError, match=r"keys \['image', 'label'\].*dataset.map"):
        compiled().fit(dataset, verbose=0)


@pytest.mark.parametrize("method", ["fit", "evaluate"])
def test_an_empty_dataset(method):
    empty = tf.data.Dataset.from_tensor_slices((X, Y)).batch(32, drop_remainder=True)
    with pytest.raises(ValueError, match="`x` is empty.*drop_remainder"):
        getattr(compiled(), method)(empty, verbose=0)
    with pytest.raises(ValueError, match="`x` is empty"):
        getattr(compiled(), method)(X[:0], Y[:0], verbose=0)
    unknown = tf.data.Dataset.from_tensor_slices((X, Y)).filter(lambda x, y: y > 5).batch(4)
    with pytest.raises(ValueError, match="`x` is empty"):
        getattr(compiled(), method)(unknown, verbose=0)


def test_empty_validation_data():
    with pytest.raises(ValueError, match="`validation_data` is empty"):
        compiled().fit(X, Y, validation_data=(X[:0], Y[:0]), verbose=0)


def test_class_weight_with_dense_labels():
    inputs = keras.Input((4, 5))
    models = [keras.Model(inputs, keras.layers.Dense(3)(inputs)) for _ in range(2)]
    distiller = kd_keras.Distiller(*models, KLDivergence())
    distiller.compile("sgd", sparse_crossentropy())
    x, y = np.zeros((8, 4, 5), "float32"), np.zeros((8, 4), int)
    with pytest.raises(ValueError, match=r"`class_weight` works for one label.*\(8, 4\)"):
        distiller.fit(x, y, class_weight={0: 1.0, 1: 100.0, 2: 1.0}, verbose=0)


def test_label_formats_that_change_between_training_and_evaluation():
    """Keras alone reports 0.125 or so for one-hot-built "accuracy" on right sparse labels."""
    distiller = kd_keras.Distiller(net(), net(), KLDivergence())
    distiller.compile(
        "sgd", keras.losses.CategoricalCrossentropy(from_logits=True), metrics=["accuracy"]
    )
    distiller.fit(X, np.eye(3)[Y], verbose=0)
    with pytest.raises(ValueError, match="another format.*one-hot"):
        distiller.evaluate(X, Y.reshape(-1, 1), verbose=0)


def test_a_loss_that_does_not_return_a_scalar():
    class Wrong(keras.distillation.DistillationLoss):
        def compute_loss(self, teacher_outputs, student_outputs, **kwargs):
            return keras.ops.abs(teacher_outputs - student_outputs)

    distiller = kd_keras.Distiller(net(), net(), Wrong())
    distiller.compile("sgd", sparse_crossentropy())
    with pytest.raises(ValueError, match=r"Wrong returned a non-scalar loss with shape"):
        distiller.fit(X, Y, verbose=0)


def test_per_example_values_of_the_wrong_shape():
    class Wrong(kd_keras.losses.Loss):
        def per_example(self, teacher_outputs, student_outputs):
            return teacher_outputs - student_outputs

    distiller = kd_keras.Distiller(net(), net(), Wrong())
    distiller.compile("sgd", sparse_crossentropy())
    with pytest.raises(ValueError, match=r"Wrong.per_example.*shape \(batch,\).*\(None, 3\)"):
        distiller.fit(X, Y, verbose=0)


def test_a_shared_layer_with_weights_and_sublayers_is_refused():
    class Scale(keras.layers.Layer):
        def __init__(self):
            super().__init__(name="composite")
            self.dropout = keras.layers.Dropout(0.1)

        def build(self, shape):
            self.scale = self.add_weight(shape=(shape[-1],))

        def call(self, x):
            return self.dropout(x * self.scale)

    def with_scale(scale):
        return keras.Sequential([keras.Input((5,)), scale, keras.layers.Dense(3)])

    shared = Scale()
    teacher, student = with_scale(shared), with_scale(shared)
    with pytest.raises(ValueError, match=r"must not share layers.*\['composite'\]"):
        kd_keras.Distiller(teacher, student, KLDivergence())
    assert len(student.trainable_weights) == 3
    dropout = keras.layers.Dropout(0.1)  # nothing in it to freeze
    kd_keras.Distiller(with_scale(dropout), with_scale(dropout), KLDivergence())


def test_labels_of_one_unit_may_have_their_last_axis_or_not():
    distiller = kd_keras.Distiller(net(units=1), net(units=1), KLDivergence())
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    distiller.compile("sgd", loss, metrics=[keras.metrics.BinaryAccuracy(threshold=0.0)])
    y = (Y > 0).astype("float32")
    distiller.fit(X, y, verbose=0)
    logs = distiller.evaluate(X, y[:, None], verbose=0, return_dict=True)
    accuracy = ((distiller.student(X).numpy()[:, 0] > 0) == y).mean()
    assert logs["binary_accuracy"] == pytest.approx(accuracy)


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 1

    def __getitem__(self, index):
        return np.ones((6, 6, 5), "float32"), np.zeros((6, 6), "int64")


def test_class_weight_on_dense_labels_of_a_py_dataset_is_refused():
    nets = [keras.Sequential([keras.Input((6, 5)), keras.layers.Dense(2)]) for _ in range(2)]
    distiller = kd_keras.Distiller(*nets, KLDivergence())
    distiller.compile("sgd", sparse_crossentropy())
    with pytest.raises(ValueError, match="`class_weight` works for one label per example only"):
        distiller.fit(Batches(), class_weight={0: 1.0, 1: 9.0}, verbose=0)
    distiller.fit(Batches(), verbose=0)
