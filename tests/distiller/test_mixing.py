"""MixUp and CutMix in the step: the label format stays, the loss is the mixed one."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kd_keras
from kd_keras.losses import KLDivergence
from kd_keras.training.batch import Batch, Mix
from kd_keras.training.mixing import label_loss, mixed_weight
from tests.conftest import sparse_crossentropy

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.normal(size=(6, 3)).astype("float32")
FIRST, SECOND = RANDOM.integers(0, 3, 6), RANDOM.integers(0, 3, 6)
SHARE = RANDOM.uniform(0.5, 1.0, 6).astype("float32")


def mixed_loss(loss, y, second_y, y_pred, weight, second_weight, share):
    views = Batch(None, y, weight, mix=Mix(second_y, second_weight, share))
    return label_loss(loss, views, y_pred)


def per_example(labels):
    return np.asarray(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=LOGITS))


def test_the_mixed_loss_is_the_weighted_sum_by_hand():
    loss = mixed_loss(sparse_crossentropy(), FIRST, SECOND, LOGITS, None, None, SHARE)
    expected = (SHARE * per_example(FIRST) + (1 - SHARE) * per_example(SECOND)).mean()
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_each_label_keeps_its_own_sample_weight():
    first, second = RANDOM.random(6), RANDOM.random(6)
    loss = mixed_loss(sparse_crossentropy(), FIRST, SECOND, LOGITS, first, second, SHARE)
    values = SHARE * first * per_example(FIRST) + (1 - SHARE) * second * per_example(SECOND)
    assert float(loss) == pytest.approx(values.mean(), rel=1e-5)
    np.testing.assert_allclose(
        mixed_weight(first, Mix(None, second, SHARE)),
        SHARE * first + (1 - SHARE) * second,
        rtol=1e-5,
    )


def test_one_hot_labels_give_the_loss_of_blended_labels():
    """Crossentropy is linear in the label, so blending one-hot labels is the reference."""
    one_hot = [np.eye(3, dtype="float32")[labels] for labels in (FIRST, SECOND)]
    categorical = keras.losses.CategoricalCrossentropy(from_logits=True)
    loss = mixed_loss(categorical, *one_hot, LOGITS, None, None, SHARE)
    blended = SHARE[:, None] * one_hot[0] + (1 - SHARE[:, None]) * one_hot[1]
    assert float(loss) == pytest.approx(float(categorical(blended, LOGITS)), rel=1e-5)
    sparse = mixed_loss(sparse_crossentropy(), FIRST, SECOND, LOGITS, None, None, SHARE)
    assert float(sparse) == pytest.approx(float(loss), rel=1e-5)


@pytest.mark.parametrize("policy", ["MixUp", "CutMix"])
@pytest.mark.parametrize(
    "labels",
    [
        "sparse",
        pytest.param("column", marks=pytest.mark.slow),
        pytest.param("one-hot", marks=pytest.mark.slow),
    ],
)
def test_distillers_train_with_mixing_in_every_label_format(make_net, images, policy, labels):
    x, y = images
    y = {"sparse": y, "column": y[:, None], "one-hot": np.eye(3)[y]}[labels]
    loss = sparse_crossentropy()
    if labels == "one-hot":
        loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    mixing = getattr(kd_keras.augment, policy)()
    distiller = kd_keras.Distiller(
        make_net(4, "t"), make_net(4, "s"), KLDivergence(2.0), augmentation=mixing
    )
    distiller.compile("sgd", loss, metrics=["accuracy"])
    history = distiller.fit(x, y, validation_data=(x, y), epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert 0.0 <= history["val_accuracy"][-1] <= 1.0


@pytest.mark.slow
def test_sparse_and_one_hot_labels_train_alike_under_mixing(make_net, images):
    x, y = images
    results = []
    for labels, loss in (
        (y, sparse_crossentropy()),
        (np.eye(3)[y], keras.losses.CategoricalCrossentropy(from_logits=True)),
    ):
        keras.utils.set_random_seed(1)
        policy = kd_keras.augment.Policy([kd_keras.augment.MixUp(1.0)], seed=4)
        distiller = kd_keras.Distiller(
            make_net(4, "t"), make_net(4, "s"), KLDivergence(2.0), augmentation=policy
        )
        distiller.compile("sgd", loss, metrics=["accuracy"])
        history = distiller.fit(x, labels, shuffle=False, verbose=0).history
        results.append([history["loss"], history["student_loss"], history["accuracy"]])
    np.testing.assert_allclose(results[0], results[1], rtol=1e-4)


@pytest.mark.parametrize("reduction", ["sum", "none"])
def test_a_loss_that_does_not_average_is_refused(make_net, images, reduction):
    distiller = kd_keras.Distiller(
        make_net(4, "t"),
        make_net(4, "s"),
        KLDivergence(2.0),
        augmentation=kd_keras.augment.MixUp(),
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction=reduction)
    distiller.compile("sgd", loss)
    with pytest.raises(ValueError, match=f"averages over the batch.*{reduction}"):
        distiller.fit(*images, verbose=0)


@pytest.mark.slow
def test_named_policies_give_the_same_run_twice_and_after_loading(make_net, images, tmp_path):
    x, y = images

    def make():
        keras.utils.set_random_seed(1)
        distiller = kd_keras.Distiller(
            make_net(4, "t"),
            make_net(4, "s"),
            KLDivergence(2.0),
            augmentation=kd_keras.augment.named("cutmix", seed=3),
        )
        distiller.compile(keras.optimizers.SGD(0.1), sparse_crossentropy())
        return distiller

    histories = []
    for _ in range(2):
        distiller = make()
        histories.append(distiller.fit(x, y, batch_size=8, shuffle=False, verbose=0).history)
    assert histories[0] == histories[1]
    distiller.save(tmp_path / "distiller.keras")
    loaded = keras.models.load_model(tmp_path / "distiller.keras")
    again = [
        d.fit(x, y, batch_size=8, shuffle=False, verbose=0).history for d in (distiller, loaded)
    ]
    assert again[0] == again[1]
    assert again[0] != histories[0]


def dense_data(shape, classes=4):
    x = RANDOM.normal(size=(4, *shape, 3)).astype("float32")
    return x, RANDOM.integers(0, classes, (4, *shape))


def dense_net(shape):
    return keras.Sequential([keras.Input((*shape, 3)), keras.layers.Dense(4)])


def positions_by_hand(labels, logits):
    return np.asarray(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", [(8, 8), (6, 6), (8,), (5,)])  # 8 is also twice the batch
def test_dense_labels_weigh_the_examples_and_no_other_axis(shape, weighted):
    x, y = dense_data(shape)
    weight = RANDOM.random(4).astype("float32") if weighted else None
    mixing = kd_keras.augment.MixUp(1.0, seed=3)
    student = dense_net(shape)
    distiller = kd_keras.Distiller(
        dense_net(shape), student, KLDivergence(), augmentation=mixing, student_loss_weight=1.0
    )
    distiller.compile(keras.optimizers.SGD(0.0), sparse_crossentropy())
    history = distiller.fit(x, y, sample_weight=weight, shuffle=False, verbose=0).history
    weights = np.ones(4, "float32") if weight is None else weight
    views = mixing({"images": x, "labels": y, "sample_weight": weights}, step=0)
    logits = student(views["images"])
    first, second = views["share"], 1 - views["share"]
    losses = [
        np.reshape(positions_by_hand(views[key], logits), (4, -1)).mean(axis=1)
        for key in ("labels", "second_labels")
    ]
    expected = np.mean(
        first * views["sample_weight"] * losses[0]
        + second * views["second_sample_weight"] * losses[1]
    )
    assert history["student_loss"][0] == pytest.approx(float(expected), rel=1e-4)


def test_masked_positions_of_mixed_sequences_do_not_teach():
    logits = RANDOM.normal(size=(4, 8, 3)).astype("float32")
    first, second = RANDOM.integers(0, 3, (2, 4, 8))
    share = SHARE[:4]
    mask = np.arange(8)[None] < np.array([[3], [8], [1], [5]])
    masked = tf.constant(logits)
    masked._keras_mask = tf.constant(mask)
    loss = mixed_loss(sparse_crossentropy(), first, second, masked, None, None, share)
    values = share[:, None] * positions_by_hand(first, logits)
    values += (1 - share[:, None]) * positions_by_hand(second, logits)
    assert float(loss) == pytest.approx((values * mask).sum() / mask.sum(), rel=1e-5)


def test_outputs_of_different_rank_get_weights_of_their_own():
    inputs = keras.Input((8, 3))
    dense = keras.layers.Dense(4, name="dense")(inputs)
    whole = keras.layers.Dense(3, name="whole")(keras.layers.Flatten()(inputs))
    model = keras.Model(inputs, {"dense": dense, "whole": whole})
    model.compile("sgd", {"dense": sparse_crossentropy(), "whole": sparse_crossentropy()})
    x, labels = dense_data((8,))
    outputs = model(x)
    y = {"dense": labels, "whole": FIRST[:4]}
    second = {"dense": labels[::-1].copy(), "whole": SECOND[:4]}
    share = SHARE[:4]
    loss = mixed_loss(model._compile_loss, y, second, outputs, None, None, share)
    expected = 0.0
    for name in outputs:
        values = [positions_by_hand(part[name], outputs[name]) for part in (y, second)]
        values = [value.reshape(4, -1).mean(axis=1) for value in values]
        expected += (share * values[0] + (1 - share) * values[1]).mean()
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_a_loss_of_dense_outputs_with_one_value_per_example_keeps_its_weights():
    def loss(y, y_pred):
        return keras.ops.mean(keras.ops.square(y[..., None] - y_pred), axis=(1, 2, 3))

    first, second = RANDOM.normal(size=(2, 4, 5, 5)).astype("float32")
    outputs = RANDOM.normal(size=(4, 5, 5, 2)).astype("float32")
    model = keras.Sequential([keras.Input((5, 5, 2)), keras.layers.Identity()])
    model.compile("sgd", loss)
    share = SHARE[:4]
    result = mixed_loss(model._compile_loss, first, second, outputs, None, None, share)
    values = [((part[..., None] - outputs) ** 2).mean(axis=(1, 2, 3)) for part in (first, second)]
    expected = (share * values[0] + (1 - share) * values[1]).mean()
    assert float(result) == pytest.approx(expected, rel=1e-5)
