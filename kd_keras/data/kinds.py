"""Which kind of data a builder of TensorFlow Datasets has, by its features.

A new kind has a file with a `Source` of its own, and a line in each of these functions.
"""

from __future__ import annotations

import tensorflow_datasets as tfds

from kd_keras.data.source import Source, as_source, image_and_label
from kd_keras.data.speech import SpokenDigits, is_spoken_digit
from kd_keras.data.texts import text_and_label, texts_of


def check_kind(
    name: str, builder: tfds.core.DatasetBuilder, image_size: tuple[int, int] | None
) -> None:
    """Raise where a builder, whose data need not be there yet, has no data of a kind that is known.

    Raises:
        ValueError: If it has none, or `image_size` does not fit them.
    """
    if not is_spoken_digit(builder) and text_and_label(name, builder) is None:
        image_and_label(name, builder, image_size)


def source_of(
    name: str, builder: tfds.core.DatasetBuilder, image_size: tuple[int, int] | None
) -> Source:
    """Return the source behind a prepared builder.

    Raises:
        ValueError: As `check_kind`, and if a class has a name that no label file can hold.
    """
    texts = text_and_label(name, builder)
    if texts is not None:
        return texts_of(name, builder, texts)
    if is_spoken_digit(builder):
        return SpokenDigits(name, builder)
    return as_source(name, builder, image_size)
