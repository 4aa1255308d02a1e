"""Labelled and unlabelled rows in one batch."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kd_keras
from kd_keras.data import mixed


def rows(x, *others, size):
    return tf.data.Dataset.from_tensor_slices((x, *others) if others else x).batch(size)


def listed(dataset):
    return [[np.asarray(part).tolist() for part in batch] for batch in dataset]


def test_unlabelled_rows_stand_behind_each_batch_and_begin_anew():
    few = rows(np.arange(5.0), [0, 1, 2, 0, 1], size=2)
    many = rows(np.arange(10.0, 13.0), size=3)

    assert listed(mixed(few, many, ratio=1.5)) == [
        [[0, 1, 10, 11, 12], [0, 1, -1, -1, -1]],
        [[2, 3, 10, 11, 12], [2, 0, -1, -1, -1]],
        [[4, 10, 11], [1, -1, -1]],
    ]


def test_a_fourth_of_a_row_beside_each_is_one_beside_four():
    few = rows(np.arange(8.0), np.zeros(8, "uint8"), size=4)

    batches = listed(mixed(few, rows(np.full(3, 9.0), size=1), ratio=0.25))
    assert [len(x) for x, _ in batches] == [5, 5]
    assert batches[0][1] == [0, 0, 0, 0, -1]


def test_weights_labels_of_the_others_and_dicts_are_minded():
    weights = np.array([0.5, 2.0], "float32")
    few = rows({"image": np.ones((2, 3))}, np.array([[1], [0]], "int32"), weights, size=2)
    many = rows({"image": np.zeros((4, 3))}, np.array([7, 7, 7, 7]), size=2)

    ((x, y, weight),) = mixed(few, many)
    assert x["image"].shape == (4, 3)
    assert y.numpy().tolist() == [[1], [0], [-1], [-1]]
    assert weight.numpy().tolist() == [0.5, 2, 1, 1]


@pytest.mark.parametrize(
    ("few", "many", "options", "said"),
    [
        ((np.ones((4, 2)), np.eye(4)), np.ones((4, 2)), {}, r"class ids y.*map `tf.argmax"),
        ((np.ones((4, 2)),), np.ones((4, 2)), {}, "class ids y.*Received: y of None"),
        ((np.ones((4, 2)), [0] * 4), np.ones((4, 3)), {}, r"\(2,\).*there and .*\(3,\).*here"),
        ((np.ones((4, 2)), [0] * 4), np.ones((4, 2), "float32"), {}, "float64.*float32"),
        ((np.ones((4, 2)), [0] * 4), np.ones((4, 2)), {"ratio": 0}, "`ratio` must be"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(few, many, options, said):
    with pytest.raises(ValueError, match=f"(?s){said}"):
        mixed(rows(*few, size=2), rows(many, size=2), **options)
    with pytest.raises(ValueError, match="`unlabelled` must be a tf.data.Dataset"):
        mixed(rows(np.ones(4), [0] * 4, size=2), np.ones(4))


def network(seed=0):
    keras.utils.set_random_seed(seed)
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])


def compiled(weight):
    distiller = kd_keras.Distiller(
        network(1),
        network(2),
        kd_keras.losses.KLDivergence(1.0),
        student_loss_weight=weight,
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1)
    distiller.compile(
        keras.optimizers.SGD(0.0), loss, metrics=["accuracy"], weighted_metrics=["accuracy"]
    )
    return distiller


def test_labels_count_labelled_rows_alone_and_the_teacher_speaks_of_all():
    random = np.random.default_rng(0)
    x, more = random.normal(size=(8, 4)), random.normal(size=(24, 4))
    y, weight = random.integers(0, 3, 8), random.uniform(0.5, 1.5, 8).astype("float32")
    distiller = compiled(0.5)

    logs = distiller.fit(
        mixed(rows(x, y, weight, size=8), rows(more, size=5), ratio=3), verbose=0
    ).history

    student, teacher = network(2), network(1)
    own, theirs = (keras.ops.log_softmax(m(np.concatenate([x, more]))) for m in (student, teacher))
    own, theirs = np.asarray(own), np.asarray(theirs)
    nll = -own[np.arange(8), y]
    right = own[:8].argmax(-1) == y
    share = np.concatenate([weight, np.ones(24, "float32")])
    expected = {
        "student_loss": (weight * nll).sum() / 8,
        "accuracy": right.mean(),
        "weighted_accuracy": (right * weight).sum() / weight.sum(),
        "teacher_accuracy": (theirs[:8].argmax(-1) == y).mean(),
        "agreement": (own.argmax(-1) == theirs.argmax(-1)).mean(),
        "distillation_loss": (share * (np.exp(theirs) * (theirs - own)).sum(-1)).sum() / 32,
    }
    for name, value in expected.items():
        assert logs[name][0] == pytest.approx(value, rel=1e-4), name


def test_a_batch_without_any_label_teaches_by_the_teacher_alone():
    x = np.random.default_rng(0).normal(size=(6, 4))
    logs = compiled(0.5).evaluate(x, np.full(6, -1), verbose=0, return_dict=True)
    assert logs["student_loss"] == 0
    assert logs["distillation_loss"] > 0


def test_mixed_views_learn_from_the_labels_that_they_have():
    from kd_keras.augment import Policy
    from kd_keras.augment.layers import MixUp

    random = np.random.default_rng(0)
    x, y = random.uniform(0, 255, (8, 4, 4, 1)).astype("float32"), np.array([0, 1, -1, -1] * 2)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1)
    student = keras.Sequential(
        [keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(2)]
    )
    policy = Policy([MixUp(1.0)], seed=1)
    supervised = kd_keras.Supervised(student, augmentation=policy)
    supervised.compile(keras.optimizers.SGD(0.0), loss, metrics=["accuracy"])
    logs = supervised.fit(x, y, batch_size=8, shuffle=False, verbose=0).history

    views = policy({"images": tf.constant(x), "labels": tf.constant(y)}, step=0)
    lam = views["share"].numpy()
    log_p = np.asarray(keras.ops.log_softmax(student(views["images"])))
    total, count = 0.0, 0
    for labels, part in ((views["labels"].numpy(), lam), (views["second_labels"].numpy(), 1 - lam)):
        has = labels >= 0
        total += (2 * part * -log_p[np.arange(8), np.maximum(labels, 0)])[has].sum()
        count += has.sum()
    assert logs["loss"][0] == pytest.approx(total / count, rel=1e-4)


@pytest.mark.parametrize("weighted", [False, True])
def test_each_of_several_outputs_counts_its_own_labelled_rows(weighted):
    random = np.random.default_rng(0)
    x = random.normal(size=(10, 4)).astype("float32")
    y = {name: random.integers(0, 3, 10) for name in ("a", "b")}
    y["a"][[1, 2, 3, 9]] = y["b"][[0, 4]] = -1
    weight = random.uniform(0.5, 1.5, 10).astype("float32") if weighted else None
    inputs = keras.Input((4,))
    outputs = {name: keras.layers.Dense(3, name=name)(inputs) for name in y}
    student = keras.Model(inputs, outputs)
    supervised = kd_keras.Supervised(student)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1)
    names = {name: ["accuracy"] for name in y}
    supervised.compile("sgd", dict.fromkeys(y, loss), metrics=names, weighted_metrics=names)

    logs = supervised.evaluate(
        x, y, sample_weight=weight, batch_size=4, verbose=0, return_dict=True
    )
    said = student.predict(x, verbose=0)
    share = np.ones(10) if weight is None else weight
    for name in y:
        has = y[name] >= 0
        right = (said[name].argmax(-1) == y[name])[has]
        assert logs[f"{name}_accuracy"] == pytest.approx(right.mean(), rel=1e-5)
        mean = (right * share[has]).sum() / share[has].sum()
        assert logs[f"{name}_weighted_accuracy"] == pytest.approx(mean, rel=1e-5)


def test_a_batch_larger_than_the_first_is_refused_and_empty_data_too():
    few = rows(np.arange(6.0), np.zeros(6, int), size=2)
    growing = few.take(1).concatenate(few.unbatch().batch(4))
    growing = growing.map(lambda x, y: (tf.ensure_shape(x, [None]), y))
    with pytest.raises(tf.errors.InvalidArgumentError, match="begin with its largest batch"):
        listed(mixed(growing, rows(np.arange(3.0), size=1), ratio=2))
    with pytest.raises(ValueError, match="`unlabelled` is empty"):
        mixed(few, rows(np.arange(3.0), size=1).take(0))
    with pytest.raises(ValueError, match="`labelled` is empty"):
        mixed(few.take(0), rows(np.arange(3.0), size=1))
