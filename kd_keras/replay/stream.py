"""Batches of images with what was recorded of them, read by TensorFlow itself."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kd_keras.graph_errors import MARKER
from kd_keras.replay.folder import RecordingFolder, rows_in
from kd_keras.training.batch import RECORDED

# What the x of a batch holds beside `RECORDED`, which is "rows" and "step" of the recording.
IMAGES = "images"


def recorded_batches(
    recording: RecordingFolder, training: Any, first_epoch: int = 0
) -> tf.data.Dataset:
    """Return the batches from an epoch to the last recorded one, with their rows and steps.

    Args:
        recording: A finished recording.
        training: `TrainingData` that it is of.
        first_epoch: From 0 to the last epoch.
    """
    manifest = recording.manifest
    first, last = (e * manifest.steps_per_epoch for e in (first_epoch, manifest.epochs))
    batches = training.stream(first_epoch).take(last - first)
    steps = tf.data.Dataset.range(first, last)
    joined = tf.data.Dataset.zip(batches, _rows(recording, first_epoch), steps)
    return joined.map(_joining(manifest.rows.dtype.itemsize))


def stop(message: str) -> Callable[..., Any]:
    """Return what stops training with `message` in the place of a batch, for `Dataset.map`."""

    def stopping(*batch: Any) -> Any:
        with tf.control_dependencies([tf.debugging.Assert(False, [f"{MARKER}{message}"])]):
            return keras.tree.map_structure(tf.identity, batch if len(batch) > 1 else batch[0])

    return stopping


def _rows(recording: RecordingFolder, first_epoch: int) -> tf.data.Dataset:
    """Return the rows from an epoch on as strings, in batches that end with their epoch."""
    manifest = recording.manifest
    row_bytes = manifest.rows.dtype.itemsize
    files, starts = [], []
    for epoch in range(first_epoch, manifest.epochs):
        paths = [recording.file(shard) for shard in manifest.files_of(epoch)]
        files.append([os.fspath(path) for path in paths])
        # Behind the header that NumPy wrote.
        starts.append([rows_in(path, manifest.rows.dtype).offset for path in paths])

    def of_file(name: Any, start: Any) -> tf.data.Dataset:
        return tf.data.FixedLengthRecordDataset(name, row_bytes, header_bytes=start)

    def of_epoch(names: Any, starts: Any) -> tf.data.Dataset:
        parts = tf.data.Dataset.from_tensor_slices((names, starts))
        return parts.flat_map(of_file).batch(manifest.order["batch_size"])

    epochs = (np.array(files), np.array(starts, "int64"))
    return tf.data.Dataset.from_tensor_slices(epochs).flat_map(of_epoch)


def _joining(row_bytes: int) -> Callable[..., Any]:
    """Return what puts the rows of a batch, and its step, beside its images."""

    def join(batch: Any, rows: Any, step: Any) -> Any:
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(batch)
        recorded = tf.ensure_shape(tf.io.decode_raw(rows, tf.uint8), [None, row_bytes])
        check = tf.debugging.Assert(
            tf.shape(x)[0] == tf.shape(recorded)[0],
            [
                f"{MARKER}a batch has another size than the recorded one. Batch the data as they "
                "were recorded. Received: examples, recorded examples, step",
                tf.shape(x)[0],
                tf.shape(recorded)[0],
                step,
            ],
        )
        with tf.control_dependencies([check]):
            steps = tf.fill([tf.shape(x)[0]], step)
        x = {IMAGES: x, RECORDED: {"rows": recorded, "step": steps}}
        return keras.utils.pack_x_y_sample_weight(x, y, sample_weight)

    return join
