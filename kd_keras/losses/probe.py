"""Find out what a model puts out by running it once, where its graph does not tell."""

from __future__ import annotations

from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from kd_keras.losses.output_kind import output_kind


def probed_output_kind(model: Any, x: Any) -> Literal["logits", "probabilities"] | None:
    """Return whether `model` returns logits or probabilities.

    A subclassed model has no graph to read. Rows of probabilities sum to 1 for every input, so one
    run on a blank example decides; an untrained model's logits for it are near 0.

    Args:
        model: A built model.
        x: Symbolic inputs, with any batch size.

    Returns:
        What the graph says, else what the run shows; `None` if the model cannot be run on a blank
        example (an input dimension is open) or has one output unit.
    """
    kind = output_kind(model)
    shapes = [tuple(tensor.shape)[1:] for tensor in keras.tree.flatten(x)]
    if kind is not None or any(None in shape for shape in shapes):
        return kind
    blank = keras.tree.map_structure(
        lambda tensor: tf.zeros((1, *tuple(tensor.shape)[1:]), dtype=tensor.dtype), x
    )
    kinds = set()
    for output in keras.tree.flatten(model(blank, training=False)):
        values = np.asarray(keras.ops.cast(output, "float32"))
        if values.ndim < 2 or values.shape[-1] < 2:
            continue
        sums_to_one = np.allclose(values.sum(-1), 1.0, atol=1e-2)
        kinds.add("probabilities" if sums_to_one and values.min() >= 0 else "logits")
    if "probabilities" in kinds:
        return "probabilities"
    return "logits" if kinds else None
