"""`load`: one door to embedded data, the TFDS catalogue, and images, texts and recordings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from kd_keras.arguments import check_integer, check_number, is_integer
from kd_keras.data.blobs import BlobsSource
from kd_keras.data.catalogue import is_in_catalogue, open_catalogue
from kd_keras.data.embedded import open_digits
from kd_keras.data.folder import open_folder
from kd_keras.data.kinds import source_of
from kd_keras.data.masks import is_folder_of_masks, open_masks
from kd_keras.data.membrane import open_membrane
from kd_keras.data.opinions import open_opinions
from kd_keras.data.pipeline import Pipeline
from kd_keras.data.source import Source
from kd_keras.data.speech import Tones
from kd_keras.data.splits import DataInfo, Order, Splits
from kd_keras.data.text_files import TABLES, is_of_texts, open_texts
from kd_keras.data.wav_files import is_of_recordings, open_recordings


def load(
    name: str | os.PathLike[str],
    *,
    data_dir: str | os.PathLike[str] | None = None,
    batch_size: int = 128,
    seed: int = 0,
    validation_fraction: float = 0.1,
    image_size: int | tuple[int, int] | None = None,
    limit: int | None = None,
    drop_remainder: bool = False,
    cache: bool | None = None,
    download: bool = True,
) -> Splits:
    """Load a dataset as batches of (x, y) for train, validation and test.

    Images stay uint8 0..255 until they are on the device; the models of `kd_keras.models` take them
    so. Texts become int32 ids of their words, by a vocabulary of the training part. Recordings
    become float32 samples in -1..1 of one second, with silence behind or cut at the end.
    The j-th epoch of training has an order of its own, a function of `seed` and j. Never choose
    anything on the test split: that is what `validation` is for, and it always exists. A dataset
    that publishes no validation split gives the last `validation_fraction` of `train`, in the
    order in which it is stored; of a folder of images, that share of each class; of texts, that
    share of those that are no part of another one, whose parts are left out; of recordings whose
    speakers are known whole speakers, whom nothing else is heard of; `info.split_rule` says
    what was cut. A dataset without a test split uses its validation split for it, or the end
    of `train`.

    Args:
        name: `"digits"`, which is embedded; `"opinions"`, `"blobs"` or `"tones"`, generated texts,
            label maps and recordings; a dataset of TensorFlow Datasets, such as `"cifar10"`,
            `"emnist/balanced"`, `"glue/sst2"` or `"spoken_digit"`; or a path: of a folder of
            images, texts or recordings, laid out as `<class>/*.png`, `<class>/*.txt` or
            `<class>/*.wav`, or as `train/<class>/*` with `test` and `validation` likewise where
            there are any; of a folder of images with masks of the same names, `image/*.png` and
            `label/*.png`, whose values are class ids (255: no label), likewise with splits or
            without (`"membrane"` is such a folder in `data_dir`); or of a CSV file with the columns
            text and label. Images of classes are read as RGB, upright as their EXIF orientation
            says, transparent ones on black, as `kd-keras predict` reads them; recordings are 16-bit
            PCM of one channel and one sample rate.
        data_dir: Where TFDS keeps prepared data; its default where None. With `name="folder"`,
            the folder of files.
        batch_size: Examples in a batch, at least 1.
        seed: Seed of the order of training examples, from 0 to 2^63 - 1.
        validation_fraction: Share of `train` to cut off for a missing split, in (0, 1).
        image_size: Height and width to resize to, one number for both or a pair. Needed where
            images differ in size. Of images with masks, which are not resized, the size of the
            tiles that they are cut into.
        limit: Use only the first `limit` training examples, for smoke runs.
        drop_remainder: Leave out the last training batch of an epoch where it is smaller.
        cache: Keep decoded images in memory after the first pass. None does so for each split
            up to 1 GiB; a larger one is read again each epoch and its training examples are
            shuffled within a window of 16,384.
        download: Whether a dataset that `data_dir` does not hold may be downloaded.

    Returns:
        A `Splits` with `train`, `validation`, `test`, `info`, `steps_per_epoch` and
        `training(first_epoch)`.

    Raises:
        TypeError: If `name` or `data_dir` is not text or a path.
        ValueError: If an argument is out of its range, there is no such dataset, it is none of
            images or texts and their classes, its folder is damaged or cannot be written, a split
            is empty, or labels are out of range.
        ConnectionError: If the dataset must be downloaded and cannot be.

    Example:

    ```python
    import kd_keras

    splits = kd_keras.data.load("digits", batch_size=64, seed=1)
    splits.info.image_shape  # (8, 8, 1)
    for x, y in splits.train:  # uint8 (64, 8, 8, 1), int64 (64,)
        break
    ```
    """
    batch_size = check_integer("batch_size", batch_size, 1)
    seed = check_integer("seed", seed, 0)
    if limit is not None:
        limit = check_integer("limit", limit, 1)
    check_number("validation_fraction", validation_fraction, above=0, below=1)
    _check_path("name", name)
    if data_dir is not None:
        _check_path("data_dir", data_dir)
    source = _open(
        name,
        None if data_dir is None else Path(data_dir).expanduser(),
        _as_size(image_size),
        download,
    )

    parts = source.cut(float(validation_fraction))
    source, train, validation, test, _ = parts
    if limit is not None:
        train = train._replace(stop=min(train.stop, train.start + limit))
    pipelines = [Pipeline(source, part, batch_size, cache) for part in (train, validation, test)]
    for pipeline in pipelines:
        pipeline.check_first_labels()
    batches = pipelines[0].training(seed, drop_remainder)
    if batches.steps_per_epoch == 0:
        raise ValueError(
            "`drop_remainder=True` leaves no training batch. Received: "
            f"batch_size={batch_size} for {train.examples} training examples. Lower `batch_size`."
        )
    return Splits(
        train=batches.next_epoch(),
        validation=pipelines[1].evaluation(),
        test=pipelines[2].evaluation(),
        info=DataInfo(
            name=source.name,
            version=source.version,
            num_classes=len(source.class_names),
            class_names=source.class_names,
            input_shape=source.input_shape,
            train_examples=train.examples,
            validation_examples=validation.examples,
            test_examples=test.examples,
            split_rule=parts.rule,
            folder=source.folder,
            task=source.task,
            input_dtype=source.input_dtype,
            label_shape=source.label_shape,
            details=source.details,
        ),
        steps_per_epoch=batches.steps_per_epoch,
        order=Order(int(batch_size), int(seed), bool(drop_remainder), pipelines[0].shuffle_window),
        _stream=batches.stream,
    )


def _open(
    name: str | os.PathLike[str],
    data_dir: Path | None,
    image_size: tuple[int, int] | None,
    download: bool,
) -> Source:
    if name == "digits":
        return source_of("digits", open_digits(data_dir), image_size)
    if name == "opinions":
        return open_opinions()
    if name == "blobs":
        return BlobsSource("blobs")
    if name == "membrane":
        return open_membrane(data_dir, image_size)
    if name == "tones":
        return Tones("tones")
    folder = _own_files(name, data_dir)
    if folder is not None and is_of_texts(folder):
        return open_texts(folder)
    if folder is not None and is_of_recordings(folder):
        return open_recordings(folder)
    if folder is None:
        text = os.fspath(name)
        return source_of(text, open_catalogue(text, data_dir, image_size, download), image_size)
    if is_folder_of_masks(folder):
        return open_masks(folder, image_size)
    return open_folder(folder, image_size)


def _own_files(name: str | os.PathLike[str], data_dir: Path | None) -> Path | None:
    """Return the folder or file that `name` means; None where it names one of the catalogue.

    A folder that happens to be called `cifar10` does not hide the dataset: `./cifar10` means it.
    """
    if name == "folder":
        if data_dir is None:
            raise ValueError(
                "`data_dir` must be the folder of files when name='folder'. Received: "
                "data_dir=None."
            )
        return data_dir
    path = Path(name).expanduser()
    if not isinstance(name, str) or name.startswith((".", "~", os.sep)):
        return path
    if path.suffix.lower() in TABLES:
        return path
    return path if path.is_dir() and not is_in_catalogue(name) else None


def _check_path(argument: str, value: Any) -> None:
    if not isinstance(value, (str, os.PathLike)):
        raise TypeError(f"`{argument}` must be text or a path. Received: {argument}={value!r}.")


def _as_size(image_size: Any) -> tuple[int, int] | None:
    if image_size is None:
        return None
    pair = (image_size, image_size) if is_integer(image_size) else image_size
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise ValueError(
            "`image_size` must be one whole number or a pair (height, width). "
            f"Received: image_size={image_size!r}."
        )
    height, width = (check_integer("image_size", side, 1) for side in pair)
    return height, width
