"""What follows from a class for every pixel: networks, policies, loss, metric."""

import keras
import numpy as np
import pytest

import kd_keras
from kd_keras.tasks.segmentation import PixelAccuracy, SegmentationTask

TASK = SegmentationTask()


@pytest.fixture(scope="module")
def info():
    return kd_keras.data.load("blobs").info


def test_the_task_is_that_of_the_data(info):
    assert isinstance(kd_keras.tasks.task_of(info), SegmentationTask)


def test_networks_by_name(info):
    network = TASK.network("unet3d2", info, seed=1)
    assert (network.name, network.output_shape) == ("unet3d2", (None, 32, 32, 3))
    expected = kd_keras.models.unet((32, 32, 1), 3, width=3, depth=2, seed=1, name="unet3d2")
    assert network.get_config() == expected.get_config()
    assert TASK.network("unet2", info).get_layer("up3_out") is not None
    for name in ("resnet8", "unet", "unet4x2", "unetd2"):
        with pytest.raises(ValueError, match=rf"unet<width>d<depth>.*name='{name}'"):
            TASK.network(name, info)


def test_policies_move_label_maps_and_none_mixes(info):
    assert {"turns", "geometric", "none"} <= set(TASK.policies)
    assert not {"mixup", "cutmix", "fmix"} & set(TASK.policies)
    splits = kd_keras.data.load("blobs", batch_size=4)
    images, maps = next(iter(splits.test))
    views = TASK.policy("turns", seed=1)({"images": images, "segmentation_masks": maps}, step=0)
    moved = views["segmentation_masks"].numpy()
    assert not np.array_equal(moved, maps)
    lit = views["images"].numpy()[..., 0]
    assert lit[moved > 0].mean() > lit[moved == 0].mean() + 30


def test_pixels_without_a_label_count_neither_in_loss_nor_metric():
    labels = np.array([[[0, 1], [255, 255]]])
    logits = np.array([[[[5.0, 0], [5.0, 0]], [[5.0, 0], [0, 5.0]]]], "float32")
    [metric] = TASK.metrics()
    assert metric.name == "accuracy"
    metric.update_state(labels, logits)
    assert float(metric.result()) == 0.5
    other = labels.copy()
    other[0, 1] = 0
    every = PixelAccuracy(9)
    every.update_state(other, logits)
    assert float(every.result()) == 0.5
    every.reset_state()
    every.update_state(other, logits, sample_weight=np.array([[[1.0, 0], [1.0, 0]]]))
    assert float(every.result()) == 1.0
    loss = TASK.loss()
    below = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    expected = float(below(labels[:, :1], logits[:, :1]))
    assert float(loss(labels, logits)) == pytest.approx(expected)
    again = PixelAccuracy.from_config(metric.get_config())
    assert again.ignored == 255


def test_trials_change_pixels_and_keep_places(info):
    trials = TASK.trials(seed=3)
    assert trials.of_images() == ()
    images = next(iter(kd_keras.data.load("blobs", batch_size=4).test))[0].numpy()
    name, change = next(iter(trials.perturbations.items()))
    assert name == "gaussian noise, severity 3"
    changed = np.asarray(change(images))
    assert (changed.dtype, changed.shape) == (images.dtype, images.shape)
    assert not np.array_equal(changed, images)
