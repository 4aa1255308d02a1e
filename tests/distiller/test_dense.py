"""Labels in places move with the pixels inside of `fit`."""

import keras
import keras_cv
import numpy as np
import pytest
import tensorflow as tf

import kd_keras
from kd_keras.augment import CutMix, MixUp, Pick, Policy, RandomFlip, RandomResizedCrop
from kd_keras.losses import KLDivergence
from kd_keras.training.batch import Batch
from tests.augment.test_dense import scenes, told

cv = keras_cv.layers
NEAREST = {"interpolation": "nearest"}
SIZE = 16


def crossentropy(ignore_class=None):
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=ignore_class)


def pixelwise(name="net", classes=5):
    inputs = keras.Input((SIZE, SIZE, 1))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    return keras.Model(inputs, keras.layers.Conv2D(classes, 1, name="logits")(x), name=name)


def policy():
    """Flips, turns that show what is outside, and crops; each pixel from one pixel."""
    turn = cv.RandomRotation(0.3, fill_mode="constant", **NEAREST)
    return Policy([RandomFlip(), turn, RandomResizedCrop((0.6, 1.0), **NEAREST)], seed=2)


def trained(loss, augmentation=None, spatial=None, network=None, run_eagerly=True):
    augmentation = policy() if augmentation is None else augmentation
    model = kd_keras.Supervised(network or pixelwise(), augmentation, spatial=spatial)
    # Eagerly, for the tracing of a single step takes seconds.
    model.compile("sgd", loss, jit_compile=False, run_eagerly=run_eagerly)
    return model


def views_of(model, *batch, step=3):
    return model.augment(Batch(*batch), tf.constant(step, tf.int64))


def test_label_maps_are_found_and_follow_to_the_pixel():
    images, classes = scenes(4, SIZE)
    model = trained(crossentropy(255))
    views = views_of(model, images, classes)
    np.testing.assert_array_equal(views.y, told(views.x))
    assert (told(views.x) == 255).any() and (told(views.x) != classes).mean() > 0.1
    assert views.spatial is None
    # By position: a cut batch has the same labels, another step has others.
    np.testing.assert_array_equal(views_of(model, images[:3], classes[:3]).y, views.y[:3])
    assert (views_of(model, images, classes, step=4).y != views.y).numpy().any()
    # Labels that are no places stay, and so does everything else if that is said.
    np.testing.assert_array_equal(views_of(model, images, np.arange(4)).y, np.arange(4))
    still = views_of(trained(crossentropy(255), spatial=False), images, classes)
    np.testing.assert_array_equal(still.y, classes)
    np.testing.assert_array_equal(still.x, views.x)


def test_what_comes_from_outside_teaches_nothing():
    """The very same loss whether the label map says so, or weights, or shares of classes."""
    images, classes = scenes(4, SIZE)
    ids = trained(crossentropy(255))
    views = views_of(ids, images, classes)
    outside = np.asarray(views.y) == 255

    weights = np.random.default_rng(1).random((4, SIZE, SIZE)).astype("float32")
    weighed = views_of(trained(crossentropy()), images, classes, weights)
    np.testing.assert_array_equal(weighed.weight == 0, outside)
    np.testing.assert_array_equal(weighed.y, np.where(outside, 0, views.y))
    as_images = {"images": images, "segmentation_masks": weights}
    np.testing.assert_array_equal(weighed.weight, policy()(as_images, step=3)["segmentation_masks"])

    one_hot = np.eye(5, dtype="float32")[classes]
    categorical = trained(keras.losses.CategoricalCrossentropy(from_logits=True))
    shares = views_of(categorical, images, one_hot)
    np.testing.assert_array_equal(np.sum(shares.y, axis=-1) == 0, outside)
    np.testing.assert_array_equal(np.argmax(shares.y, -1)[~outside], views.y[~outside])


def test_the_teacher_is_not_heard_outside_either():
    images, classes = scenes(4, SIZE)
    keras.utils.set_random_seed(1)
    teacher, student = pixelwise("teacher"), pixelwise("student")
    views = policy()({"images": images, "segmentation_masks": classes}, step=0, outside=255)
    inside = np.asarray(views["segmentation_masks"]) != 255
    logits = [tf.nn.log_softmax(net(views["images"]) / 2.0) for net in (teacher, student)]
    values = np.sum(tf.exp(logits[0]) * (logits[0] - logits[1]), axis=-1) * 4.0
    right = np.argmax(logits[0], -1) == views["segmentation_masks"].numpy()
    for loss, y in (
        (crossentropy(255), classes),
        (keras.losses.CategoricalCrossentropy(from_logits=True), np.eye(5)[classes]),
    ):
        distiller = kd_keras.Distiller(teacher, student, KLDivergence(2.0), augmentation=policy())
        distiller.compile(keras.optimizers.SGD(0.0), loss, jit_compile=False, run_eagerly=True)
        logs = distiller.fit(images, y, shuffle=False, verbose=0).history
        assert logs["distillation_loss"][0] == pytest.approx(values[inside].mean(), rel=1e-4)
        assert logs["teacher_accuracy"][0] == pytest.approx(right[inside].mean(), rel=1e-5)


def test_without_a_label_for_the_outside_the_remedies_are_told_and_work():
    images, classes = scenes(4, SIZE)
    model = trained(crossentropy())
    with pytest.raises(ValueError, match=r"ignore_class=255.*`sample_weight`.*fill_mode='reflect'"):
        model.fit(images, classes, verbose=0)
    views_of(trained(crossentropy(255)), images, classes)
    views_of(model, images, classes, np.ones((4, SIZE, SIZE), "float32"))
    reflected = Policy([cv.RandomRotation(0.3, **NEAREST)], seed=2)
    views = views_of(trained(crossentropy(), reflected), images, classes)
    np.testing.assert_array_equal(views.y, told(views.x))
    with pytest.raises(ValueError, match="uint8 cannot hold ignore_class=-1: cast to int32"):
        views_of(trained(crossentropy(-1)), images, classes.astype("uint8"))
    assert (views_of(trained(crossentropy(-1)), images, classes).y == -1).numpy().any()
    smooth = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    for loss in (smooth, "mse"):  # to which zeros are a label
        with pytest.raises(ValueError, match="shows pixels from outside"):
            views_of(trained(loss), images, np.eye(5)[classes])


def test_several_labels_move_as_spatial_says():
    images, classes = scenes(4, SIZE)
    y = {
        "mask": classes,
        "kind": np.arange(4),
        "points": np.full((4, 2, 2), [3.0, 5.0], "float32"),
        "objects": {"boxes": np.full((4, 1, 4), [1.0, 2, 5, 4]), "classes": np.ones((4, 1))},
    }
    spatial = {"mask": True, "points": "keypoints", "objects": "xyxy", "kind": False}
    flip = Policy([RandomFlip(rate=1.0)])
    views = views_of(trained("mse", flip, spatial), images, y)
    np.testing.assert_array_equal(views.y["mask"], classes[:, :, ::-1])
    np.testing.assert_array_equal(views.y["kind"], y["kind"])
    np.testing.assert_array_equal(views.y["points"], np.full((4, 2, 2), [12.0, 5.0]))
    np.testing.assert_array_equal(views.y["objects"]["boxes"], np.full((4, 1, 4), [11.0, 2, 15, 4]))
    pair = views_of(trained("mse", flip, (True, None)), images, (classes, classes))
    np.testing.assert_array_equal(pair.y[0], classes[:, :, ::-1])
    np.testing.assert_array_equal(pair.y[1], classes)
    for given, labels, message in (
        (True, np.arange(4), r"`y` must have the shape .*\(16, 16\)"),
        ({"masks": True}, y, r"`y`\['masks'\], which must be there. Received: y as a dict"),
        ("keypoints", classes, "must be keypoints of shape"),
        ("xyxy", classes, "must be a dict of keras-cv's"),
    ):
        with pytest.raises(ValueError, match=message):
            views_of(trained("mse", flip, given), images, labels)
    with pytest.raises(ValueError, match="`spatial` must be None.*Received: spatial='masks'"):
        kd_keras.Supervised(pixelwise(), spatial="masks")
    with pytest.raises(ValueError, match="must be one tensor.*leave `spatial` out"):
        views_of(trained("mse", lambda x: x, True), {"image": images}, classes)


def test_what_spatial_says_is_saved(tmp_path):
    spatial = {"mask": True, "boxes": "xyxy"}
    nets = [pixelwise("teacher"), pixelwise("student")]
    for model in (
        kd_keras.Distiller(*nets, KLDivergence(), spatial=spatial),
        kd_keras.Supervised(pixelwise(), spatial=spatial),
    ):
        assert type(model).from_config(model.get_config()).spatial == spatial
    model.compile("sgd", "mse")
    model.save(tmp_path / "model.keras")
    assert keras.models.load_model(tmp_path / "model.keras").spatial == spatial


def test_pasted_pixels_are_learnt_by_their_own_labels():
    """CutMix of label maps is the plain loss of the views, each pixel with its own weight."""
    images, classes = scenes(4, SIZE)
    network = pixelwise()
    augmentation = Policy([RandomFlip(), CutMix()], seed=1)
    model = trained(crossentropy(), augmentation, network=network, run_eagerly=False)
    weight = np.array([1.0, 0.5, 2.0, 0.0], "float32")
    views = views_of(model, images, classes, weight[:, None, None], step=0)
    np.testing.assert_array_equal(views.y, told(views.x))
    assert views.mix is None and set(np.unique(views.weight)) == {0.0, 0.5, 1.0, 2.0}
    values = tf.nn.sparse_softmax_cross_entropy_with_logits(views.y, network(views.x))
    expected = float(tf.reduce_mean(values * views.weight))
    logs = model.fit(images, classes, sample_weight=weight[:, None, None], shuffle=False, verbose=0)
    assert logs.history["loss"][0] == pytest.approx(expected, rel=1e-5)


def test_mixed_maps_have_the_mixed_loss():
    images, classes = scenes(4, SIZE)
    network = pixelwise()
    mixing = Policy([RandomFlip(), MixUp(1.0)], seed=1)
    model = trained(crossentropy(), mixing, network=network)
    views = views_of(model, images, classes, step=0)
    share = np.asarray(views.mix.lam)[:, None, None]
    first, second = (
        tf.nn.sparse_softmax_cross_entropy_with_logits(y, network(views.x))
        for y in (views.y, views.mix.y)
    )
    expected = float(np.mean(share * first + (1 - share) * second))
    history = model.fit(images, classes, shuffle=False, verbose=0).history
    assert history["loss"][0] == pytest.approx(expected, rel=1e-5)


def test_the_teacher_picks_views_with_their_labels():
    images, classes = scenes(4, SIZE)
    pick = Pick(policy(), pool=2)
    distiller = kd_keras.Distiller(
        pixelwise("teacher"), pixelwise("student"), KLDivergence(), augmentation=pick
    )
    distiller.compile("sgd", crossentropy(255), jit_compile=False)
    views = views_of(distiller, images, classes)
    np.testing.assert_array_equal(views.y, told(views.x))


@pytest.mark.parametrize(
    "layer", [cv.RandomFlip(), keras.layers.RandomFlip(), lambda x: x[:, ::-1]]
)
def test_what_would_leave_labels_behind_is_refused_by_name(layer):
    images, classes = scenes(4, SIZE)
    remedies = r"may move.*Policy\(\[\.\.\.\]\).*lambda x, y: \(moved\(x\).*`spatial=False`"
    with pytest.raises(ValueError, match=remedies):
        views_of(trained(crossentropy(), layer), images, classes)
    views_of(trained(crossentropy(), layer, spatial=False), images, classes)
    still = views_of(trained(crossentropy(), keras.layers.Dropout(0.5)), images, classes)
    np.testing.assert_array_equal(still.y, classes)


def test_a_function_that_names_y_moves_both():
    images, classes = scenes(4, SIZE)

    def flip(x, y, step):
        turn = step % 2 == 1
        return tf.where(turn, x[:, :, ::-1], x), tf.where(turn, y[:, :, ::-1], y)

    for augmentation in (flip, Policy([flip])):
        model = trained(crossentropy(), augmentation)
        views = views_of(model, images, classes)
        np.testing.assert_array_equal(views.y, classes[:, :, ::-1])
        np.testing.assert_array_equal(views.y, told(views.x))
        np.testing.assert_array_equal(views_of(model, images, classes, step=2).y, classes)
    for wrong, message in (
        (lambda x, y: x, r"must return both, `\(x, y\)`"),
        (lambda x, y: (x, y[:2]), "labels of the structure, rank and batch"),
        (lambda x, y: (x, {"mask": y}), "labels of the structure, rank and batch"),
        (lambda x, y: (x, y + np.random.randint(99)), "draws its random numbers with NumPy"),
    ):
        with pytest.raises(ValueError, match=message):
            views_of(trained(crossentropy(), wrong), images, classes)
    weights = np.ones((4, SIZE, SIZE), "float32")
    with pytest.raises(ValueError, match="`sample_weight` for every pixel would stay"):
        views_of(trained(crossentropy(), flip), images, classes, weights)
    # One that names `step` alone moves images of class labels, as ever.
    views_of(trained(crossentropy(), lambda x, step: x), images, np.arange(4))
