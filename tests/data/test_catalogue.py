"""Datasets of the TFDS catalogue, on a machine whose network the tests take away."""

import shutil
import time
import urllib.error
import urllib.request

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

import kd_keras
from kd_keras.data.pipeline import Pipeline
from kd_keras.jobs import read_picture


@pytest.fixture
def no_network(monkeypatch):
    def unreachable(request, timeout):
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(urllib.request, "urlopen", unreachable)


class _Small(tfds.core.GeneratorBasedBuilder):
    """Twelve images; a subclass says what is wrong with them."""

    VERSION = tfds.core.Version("1.0.0")
    SKIP_REGISTERING = True
    keys = ("image", "label")
    image = tfds.features.Image(shape=(4, 4, 1))
    label = tfds.features.ClassLabel(num_classes=3)
    last_labels = (0, 1)
    splits = ("train", "test")

    def _info(self):
        features = tfds.features.FeaturesDict({"image": self.image, "label": self.label})
        return tfds.core.DatasetInfo(builder=self, features=features, supervised_keys=self.keys)

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(split) for split in self.splits}

    def _generate_examples(self, split):
        labels = [0, 1, 2] * 4 + (list(self.last_labels) if split == "test" else [])
        for index, label in enumerate(labels):
            image = np.full(self.image.shape, index, self.image.np_dtype)
            yield index, {"image": image, "label": label}


class KdSmall(_Small):
    pass


class KdUnlabelled(_Small):
    last_labels = (-1, -1)


class KdTrainOnly(_Small):
    splits = ("train",)


class KdNoPairs(_Small):
    keys = None


class KdRegression(_Small):
    label = tfds.features.Scalar(dtype=np.int64)


class KdDeepPixels(_Small):
    image = tfds.features.Image(shape=(4, 4, 1), dtype=np.uint16)


class KdJpeg(_Small):
    image = tfds.features.Image(shape=(24, 16, 3), encoding_format="jpeg")

    def _generate_examples(self, split):
        noise = np.random.default_rng(0)
        for index in range(3):
            pixels = noise.integers(0, 256, self.image.shape, "uint8")
            yield index, {"image": pixels, "label": index}


def load(builder, data_dir, **options):
    builder(data_dir=data_dir).download_and_prepare()
    return kd_keras.data.load(builder.name, data_dir=data_dir, download=False, **options)


def test_a_prepared_dataset_is_loaded_by_name(tmp_path):
    splits = load(KdSmall, tmp_path, batch_size=5, validation_fraction=0.25)
    assert splits.info.split_rule == "train: train[0:9], validation: train[9:12], test: test[0:14]"
    images = [
        {int(image[0, 0, 0]) for x, _ in part.as_numpy_iterator() for image in x}
        for part in (splits.train, splits.validation)
    ]
    assert (len(images[0]), len(images[1])) == (9, 3)
    assert images[0] | images[1] == set(range(12))


def test_jpeg_has_the_pixels_that_predict_sees(tmp_path):
    """TensorFlow's own default is several levels off."""
    splits = load(KdJpeg, tmp_path)
    skipped = {"image": tfds.decode.SkipDecoding()}
    stored = KdJpeg(data_dir=tmp_path).as_dataset(split="test", decoders=skipped)
    [(images, _)] = splits.test
    for example, image in zip(stored, images, strict=True):
        (tmp_path / "x.jpg").write_bytes(example["image"].numpy())
        predicted = read_picture(tmp_path / "x.jpg", image.shape)
        np.testing.assert_array_equal(image, predicted)
        fast = tf.io.decode_jpeg(example["image"]).numpy().astype(int)
        assert np.abs(fast - predicted).max() > 1


def test_a_dataset_of_train_alone_gives_all_three_splits(tmp_path):
    splits = load(KdTrainOnly, tmp_path)
    assert splits.info.split_rule == (
        "train: train[0:10], validation: train[10:11], test: train[11:12]"
    )


def test_a_split_published_without_labels_is_refused_at_once(tmp_path):
    with pytest.raises(ValueError, match=r"labels of test\[0:14\].*must be 0\.\.2.*\[-1\]"):
        load(KdUnlabelled, tmp_path)


def test_a_wrong_label_further_on_stops_the_batch_with_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setattr(Pipeline, "check_first_labels", lambda pipeline: None)
    splits = load(KdUnlabelled, tmp_path)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"kd_keras: the labels of test"):
        list(splits.test)
    assert sum(len(y) for _, y in splits.train) == 11


@pytest.mark.parametrize("builder", [KdNoPairs, KdRegression, KdDeepPixels])
def test_what_is_no_image_classification_set_is_refused(tmp_path, builder):
    with pytest.raises(ValueError, match=rf"uint8 image, class label.*name='{builder.name}'"):
        load(builder, tmp_path)


def test_an_unknown_name_is_refused_with_close_ones():
    with pytest.raises(ValueError, match=r"Received: name='cifar11'.*Did you mean .*'cifar10' or"):
        kd_keras.data.load("cifar11")
    with pytest.raises(ValueError, match=r"name='digit'.*Did you mean 'digits'\?"):
        kd_keras.data.load("digit")


def test_an_unknown_configuration_is_refused_in_the_words_of_tfds(tmp_path):
    with pytest.raises(ValueError, match=r"cannot open `name`.*name='emnist/nothing'"):
        kd_keras.data.load("emnist/nothing", data_dir=tmp_path)


@pytest.mark.usefixtures("no_network")
def test_without_a_network_the_alternatives_are_named_at_once_and_nothing_is_written(tmp_path):
    began = time.monotonic()
    with pytest.raises(ConnectionError, match=r"'mnist' is not prepared.*folder of images.*digits"):
        kd_keras.data.load("mnist", data_dir=tmp_path / "data")
    assert time.monotonic() - began < 30
    assert not (tmp_path / "data").exists()


def test_download_false_never_asks_the_network(tmp_path, monkeypatch):
    monkeypatch.setattr(urllib.request, "urlopen", None)
    with pytest.raises(ValueError, match=r"download=False.*`data_dir=\.\.\.`"):
        kd_keras.data.load("mnist", data_dir=tmp_path, download=False)


def test_a_refusal_of_the_probe_counts_as_a_network(tmp_path, monkeypatch):
    def forbidden(request, timeout):
        raise urllib.error.HTTPError(request.full_url, 403, "Forbidden", {}, None)

    def prepare(builder, **options):
        raise OSError("the connection broke")

    monkeypatch.setattr(urllib.request, "urlopen", forbidden)
    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", prepare)
    with pytest.raises(ConnectionError, match=r"the connection broke.*digits"):
        kd_keras.data.load("mnist", data_dir=tmp_path)


def test_a_data_dir_that_cannot_be_written_is_refused_before_the_download(tmp_path, monkeypatch):
    monkeypatch.setattr(kd_keras.data.catalogue, "_check_network", lambda name, builder: None)
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(ValueError, match="`data_dir` must be a folder that this process can write"):
        kd_keras.data.load("mnist", data_dir=tmp_path / "file" / "data")


def test_a_damaged_copy_is_refused_with_what_it_lacks(tmp_path):
    load(KdSmall, tmp_path)
    folder = tmp_path / "kd_small" / "1.0.0"
    (folder / "kd_small-test.tfrecord-00000-of-00001").unlink()
    with pytest.raises(ValueError, match=r"incomplete.*kd_small-test.*Delete"):
        kd_keras.data.load("kd_small", data_dir=tmp_path)
    shutil.rmtree(folder)
    folder.mkdir()
    with pytest.raises(ValueError, match=r"incomplete.*dataset_info\.json"):
        kd_keras.data.load("kd_small", data_dir=tmp_path)


def test_cifar10_is_loaded_and_its_validation_cut_from_the_end_of_train(cifar_dir):
    splits = kd_keras.data.load(
        "cifar10", data_dir=cifar_dir, download=False, limit=300, batch_size=200, image_size=16
    )
    info = splits.info
    assert info.split_rule == (
        "train: train[0:45000], validation: train[45000:50000], test: test[0:10000]"
    )
    assert (info.num_classes, info.image_shape) == (10, (16, 16, 3))
    assert info.class_names[:2] == ("airplane", "automobile")
    assert [x.shape for x, _ in splits.train] == [(200, 16, 16, 3), (100, 16, 16, 3)]
    x, y = next(iter(splits.validation))
    direct = tfds.load("cifar10", split="train[90%:]", data_dir=cifar_dir, download=False)
    assert y.numpy().tolist() == [int(e["label"]) for e in direct.take(200)]
    assert x.dtype == tf.uint8
    assert x.numpy().min() < 16 < 240 < x.numpy().max()
