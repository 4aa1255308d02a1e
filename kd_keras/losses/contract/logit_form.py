"""A network's outputs as logits, whatever activation they end in."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from kd_keras.compat.structure import mask_of, with_mask
from kd_keras.losses.contract.output_kind import OutputKind, kind_of_values, kinds_in_graph

# Probabilities below it count as it: log p >= -69.1. Far enough from the smallest float32 that
# neither 1 / p nor the temperature times it overflows.
SMALLEST_PROBABILITY = 1e-30
# The largest float32 below 1: log-odds end at 16.6.
_LARGEST_PROBABILITY = 1.0 - 2.0**-24
_DRAWS = 4

FORMS = ("auto", "logits", "probabilities")


class LogitForm:
    """Tell what a network puts out, and turn it into logits.

    ```
    softmax:  log p          the logits up to a constant for each example; p >= 1e-30
    sigmoid:  log p - log(1 - p)   the logits;  1e-30 <= p <= 1 - 2^-24
    ```

    Args:
        model: A `keras.Model` or `keras.Layer`.
        declared: "logits", "probabilities", or "auto": the graph tells, and where it does not, a
            run on made up inputs by `look`.
        run: Returns the outputs for what `look` gets; by default the model itself.
    """

    def __init__(self, model: Any, declared: str = "auto", run: Callable[[Any], Any] | None = None):
        self._run = run or functools.partial(model, training=False)
        self._declared = declared
        self._kinds: list[OutputKind] | None = None
        if declared != "logits":
            self._kinds = kinds_in_graph(model)

    @property
    def kinds(self) -> list[OutputKind]:
        """What each output is, as far as it is known; empty where nothing is."""
        return self._kinds or []

    @property
    def is_shifted(self) -> bool:
        """Whether some logits are only known up to a constant for each example."""
        return "softmax" in self.kinds

    def look(self, x: Any) -> None:
        """Run the network once on made up inputs where its graph does not tell what it puts out.

        Rows of a softmax sum to 1 for every input; after a sigmoid all values lie between 0 and 1,
        however large the inputs.

        Args:
            x: Inputs, symbolic or not; their shapes and dtypes count. With open dimensions, or
                strings, nothing is run.
        """
        known = self._kinds is not None and None not in self._kinds
        if known or self._declared == "logits":
            return
        shapes = [tuple(tensor.shape)[1:] for tensor in keras.tree.flatten(x)]
        dtypes = [keras.backend.standardize_dtype(t.dtype) for t in keras.tree.flatten(x)]
        if any(None in shape for shape in shapes) or "string" in dtypes:
            found: list[OutputKind] = []
        else:
            with tf.init_scope():
                outputs = keras.tree.flatten(self._run(_made_up(x)))
                found = [kind_of_values(np.asarray(ops.cast(leaf, "float32"))) for leaf in outputs]
        graph = self._kinds or [None] * len(found)
        self._kinds = [a or b for a, b in zip(graph, found, strict=False)] if found else graph

    def __call__(self, outputs: Any) -> Any:
        """Return the logits of all outputs: float32 where they are turned, else as they are."""
        flat = keras.tree.flatten(outputs)
        kinds = self._kinds or [None] * len(flat)
        if self._declared == "probabilities":
            kinds = [
                kind if kind in ("softmax", "sigmoid") else _by_width(leaf)
                for kind, leaf in zip(kinds or [None] * len(flat), flat, strict=True)
            ]
        if len(kinds) != len(flat) or not {"softmax", "sigmoid"} & set(kinds):
            return outputs
        turned = [as_logits(leaf, kind) for leaf, kind in zip(flat, kinds, strict=True)]
        return keras.tree.pack_sequence_as(outputs, turned)


def as_logits(output: Any, kind: OutputKind) -> Any:
    """Return one output of a known kind as logits; its Keras mask stays on it."""
    if kind not in ("softmax", "sigmoid"):
        return output
    p = ops.cast(output, "float32")
    logits = ops.log(ops.maximum(p, SMALLEST_PROBABILITY))
    if kind == "sigmoid":
        logits = logits - ops.log1p(-ops.minimum(p, _LARGEST_PROBABILITY))
    return with_mask(logits, mask_of(output))


def _by_width(leaf: Any) -> OutputKind:
    return "sigmoid" if leaf.shape[-1] == 1 else "softmax"


def _made_up(x: Any) -> Any:
    random = np.random.default_rng(0)

    def rows(tensor: Any) -> Any:
        shape = (_DRAWS, *tuple(tensor.shape)[1:])
        dtype = keras.backend.standardize_dtype(tensor.dtype)
        if keras.backend.is_float_dtype(dtype):
            draws = [np.zeros(shape), random.normal(size=shape), random.uniform(0, 255, shape)]
        elif dtype == "uint8":
            draws = [np.zeros(shape), random.integers(0, 256, shape)]
        else:
            draws = [np.zeros(shape), random.integers(0, 2, shape)]  # any table has these entries
        return tf.cast(np.concatenate(draws), dtype)

    return keras.tree.map_structure(rows, x)
