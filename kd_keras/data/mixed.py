"""Labelled and unlabelled examples in one batch, for a teacher that labels all of them."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from kd_keras.arguments import check_number
from kd_keras.graph_errors import MARKER

UNLABELLED = -1


def mixed(
    labelled: tf.data.Dataset, unlabelled: tf.data.Dataset, ratio: float = 1.0
) -> tf.data.Dataset:
    """Return batches of labelled examples with unlabelled ones behind them, whose label is -1.

    ```
    batch: n labelled rows, then round(ratio * n) unlabelled ones;  y = -1 says "no label"
    ```

    In `fit` of a `kd_keras.Distiller` the teacher speaks of every row, and with a loss that ignores
    -1, `SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1)`, the label loss, the
    compiled metrics and `teacher_accuracy` are means over the labelled rows alone. An epoch is one
    pass over `labelled`; `unlabelled` begins anew whenever it ends, in each epoch from its start.

    Args:
        labelled: Batches of (x, y) or (x, y, sample_weight), the first of them the largest, y class
            ids `(batch,)` or `(batch, 1)`. Endless where it comes from `splits.training()`.
        unlabelled: Batches of x, of the same structure, shapes and dtypes as in `labelled`, or of
            tuples that begin with it; labels are left out. Better shuffled, or endless, as
            `splits.training()` is.
        ratio: Unlabelled rows for each labelled one, > 0.

    Returns:
        A `tf.data.Dataset` of the form of `labelled`, with labels of a signed type.

    Raises:
        ValueError: If the labels are no class ids, x differs between the two, or `ratio` is out of
            range.

    Example:

    >>> import kd_keras, numpy as np, tensorflow as tf
    >>> few = tf.data.Dataset.from_tensor_slices((np.ones((4, 2)), [0, 1, 1, 0])).batch(2)
    >>> many = tf.data.Dataset.from_tensor_slices(np.zeros((10, 2))).batch(5)
    >>> [y.numpy().tolist() for x, y in kd_keras.data.mixed(few, many, ratio=1.5)]
    [[0, 1, -1, -1, -1], [1, 0, -1, -1, -1]]

    Reference: Beyer et al., "Knowledge distillation: A good teacher is patient and consistent",
    CVPR 2022, arXiv:2106.05237; Chen et al., "Big Self-Supervised Models are Strong Semi-Supervised
    Learners", NeurIPS 2020, arXiv:2006.10029.
    """
    ratio = float(check_number("ratio", ratio, above=0))
    for name, dataset in (("labelled", labelled), ("unlabelled", unlabelled)):
        if not isinstance(dataset, tf.data.Dataset):
            raise ValueError(
                f"`{name}` must be a tf.data.Dataset of batches. Received: {type(dataset).__name__}"
                "."
            )
    x_spec, y_spec, _ = keras.utils.unpack_x_y_sample_weight(labelled.element_spec)
    _check_labels(y_spec)
    others = unlabelled.map(_inputs)
    _check_inputs(x_spec, others.element_spec)
    for name, dataset in (("labelled", labelled), ("unlabelled", unlabelled)):
        if int(dataset.cardinality()) == 0:
            raise ValueError(f"`{name}` is empty. Received: a dataset without batches.")
    most = keras.tree.flatten(x_spec)[0].shape[0]
    if most is None:
        first = next(iter(labelled), None)
        if first is None:
            raise ValueError("`labelled` is empty. Received: a dataset without batches.")
        most = _rows_in(first)
    # Of a last batch that is smaller, the surplus goes.
    beside = others.unbatch().repeat().batch(max(1, round(ratio * int(most))))

    def join(batch: Any, more: Any) -> Any:
        x, y, weight = keras.utils.unpack_x_y_sample_weight(batch)
        wanted = tf.cast(tf.round(ratio * tf.cast(_rows_in(batch), tf.float64)), tf.int32)
        enough = tf.debugging.Assert(
            wanted <= _rows_in(more),
            [
                f"{MARKER}`labelled` must begin with its largest batch, by which unlabelled rows "
                "are cut. Received: a batch of examples, larger than the first",
                _rows_in(batch),
            ],
        )
        with tf.control_dependencies([] if enough is None else [enough]):
            more = keras.tree.map_structure(lambda rows: rows[:wanted], more)
        y = y if y.dtype.min < 0 else tf.cast(y, tf.int64)
        beside_y = tf.concat([[_rows_in(more)], tf.shape(y)[1:]], 0)
        none = tf.fill(beside_y, tf.cast(UNLABELLED, y.dtype))
        x = keras.tree.map_structure(lambda a, b: tf.concat([a, b], 0), x, more)
        if weight is not None:
            beside_weight = tf.concat([[_rows_in(more)], tf.shape(weight)[1:]], 0)
            ones = tf.ones(beside_weight, weight.dtype)
            weight = tf.concat([weight, ones], 0)
        return keras.utils.pack_x_y_sample_weight(x, tf.concat([y, none], 0), weight)

    joined = tf.data.Dataset.zip(labelled, beside)
    return joined.map(join, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def _inputs(*batch: Any) -> Any:
    return batch[0]


def _rows_in(batch: Any) -> Any:
    return tf.shape(keras.tree.flatten(batch)[0])[0]


def _check_labels(y: Any) -> None:
    is_ids = isinstance(y, tf.TensorSpec) and (
        y.shape.rank == 1 or (y.shape.rank == 2 and y.shape[-1] == 1)
    )
    if not is_ids or not (y.dtype.is_integer or y.dtype.is_floating):
        raise ValueError(
            "`labelled` must give batches of (x, y) with class ids y, (batch,) or (batch, 1), of "
            f"which -1 then says that there is none. Received: y of {y}. For one-hot labels map "
            "`tf.argmax(y, -1)`."
        )


def _check_inputs(x: Any, other: Any) -> None:
    def described(spec: Any) -> Any:
        return keras.tree.map_structure(lambda s: (tuple(s.shape[1:]), s.dtype.name), spec)

    if described(x) != described(other):
        raise ValueError(
            "`unlabelled` must give batches of the x that `labelled` gives. Received: x of "
            f"{described(x)} there and {described(other)} here (shape of a row, dtype). Map one of "
            "the two: `unlabelled.map(...)`."
        )
