"""Print how far the views on two logical CPU devices are from those on one, as JSON."""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import tensorflow as tf

from kd_keras import augment
from kd_keras.augment.adapter import as_augmentation, augment_batch
from kd_keras.training.batch import Batch, Spatial


def main() -> None:
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
    )
    random = np.random.default_rng(0)
    # An odd batch: the replicas hold different numbers of examples.
    images = random.integers(0, 256, (7, 8, 8, 3)).astype("uint8")
    labels = np.arange(7)
    weights = random.uniform(size=7).astype("float32")
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    as_augmentation(abs)
    adapter_imports_keras_cv = "keras_cv" in sys.modules
    import keras_cv

    differences = {}
    flip = keras_cv.layers.RandomFlip()
    plain = [
        keras_cv.layers.RandomRotation(0.1),
        keras_cv.layers.RandomChoice([flip, keras_cv.layers.RandomBrightness(0.3)]),
        augment.RandomSubset([flip, augment.GaussianNoise(0.1)], 1),
    ]
    ours = [
        augment.GaussianBlur(),
        augment.JpegCompression(),
        augment.Posterize(),
        augment.SpeckleNoise((0.0, 0.2)),
        augment.GridMask(),
        augment.AugMix([flip, augment.GaussianNoise(0.1)]),
    ]
    policies = {
        "plain": plain,
        "ours": ours,
        "mixup": [flip, augment.MixUp()],
        "cutmix": [augment.CutMix()],
        "fmix": [augment.FMix()],
        "dense": [
            flip,
            keras_cv.layers.RandomRotation(0.1, fill_mode="constant"),
            augment.RandomSubset([flip, augment.RandomResizedCrop()], 1),
            augment.CutMix(),
        ],
    }
    maps = random.integers(0, 5, (7, 8, 8))
    for name, layers in policies.items():
        spatial = (Spatial("y", (), "map", 255),) if name == "dense" else None
        y = maps if spatial else labels
        augmentation = as_augmentation(augment.Policy(layers, seed=5))

        def views(
            batch: Any, step: Any, augmentation: Any = augmentation, spatial: Any = spatial
        ) -> Any:
            batch = Batch(*batch, spatial=spatial)
            return augment_batch(augmentation, batch, step)._replace(spatial=None)

        alone = tf.function(views, autograph=False)((images, y, weights), tf.constant(3, tf.int64))
        dataset = tf.data.Dataset.from_tensor_slices((images, y, weights)).batch(7)
        batch = next(iter(strategy.experimental_distribute_dataset(dataset)))
        parts = tf.function(lambda batch, views=views: strategy.run(views, args=(batch, 3)))(batch)
        differences[name] = [
            _distance(expected, strategy.experimental_local_results(field))
            for expected, field in zip(tf.nest.flatten(alone), tf.nest.flatten(parts), strict=True)
            if expected is not None
        ]
    print(json.dumps({"imports": adapter_imports_keras_cv, "differences": differences}))


def _distance(expected: tf.Tensor, parts: Any) -> float:
    values = np.concatenate([np.asarray(part, "float64") for part in parts])
    return float(np.max(np.abs(values - np.asarray(expected, "float64"))))


if __name__ == "__main__":
    main()
