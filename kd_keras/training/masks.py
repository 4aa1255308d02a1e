"""Carry Keras masks past the places where they are lost: casts and inner `tf.function`s."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kd_keras.compat.structure import mask_of, with_mask


def masks_of(outputs: Any) -> list[Any]:
    """Return the masks of the tensors of `outputs`, flat, `None` where there is none."""
    return [mask_of(tensor) for tensor in keras.tree.flatten(outputs)]


def with_masks(outputs: Any, masks: list[Any]) -> Any:
    """Return `outputs` with `masks` (flat, as `masks_of` gave them) attached again."""
    for tensor, mask in zip(keras.tree.flatten(outputs), masks, strict=True):
        with_mask(tensor, mask)
    return outputs


def masked_further(outputs: Any, masks: list[Any]) -> Any:
    """Return `outputs` where positions count only if `masks` (flat, or `None`) say so as well."""

    def masked(tensor: Any, mask: Any) -> Any:
        if mask is None:
            return tensor
        own = mask_of(tensor)
        both = mask if own is None else ops.logical_and(ops.cast(own, "bool"), mask)
        return with_mask(ops.copy(tensor), both)

    flat = zip(keras.tree.flatten(outputs), masks, strict=True)
    return keras.tree.pack_sequence_as(outputs, [masked(tensor, mask) for tensor, mask in flat])


def cast_with_mask(outputs: Any, dtype: str) -> Any:
    """Cast every floating tensor of `outputs` to `dtype` and keep its mask."""

    def cast(tensor: Any) -> Any:
        if not keras.backend.is_float_dtype(keras.backend.standardize_dtype(tensor.dtype)):
            return tensor
        return with_mask(ops.cast(tensor, dtype), mask_of(tensor))

    return keras.tree.map_structure(cast, outputs)
