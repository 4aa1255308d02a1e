"""Masks and boxes that belong to the images, and follow the layers that move pixels."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from kd_keras.augment.calling import (
    as_before,
    call_on_dict,
    keras_cv_bases,
    refuse_per_pixel_labels,
)
from kd_keras.augment.pixelwise import keeps_positions
from kd_keras.training.batch import Batch

_MASKS, _BOXES = "segmentation_masks", "bounding_boxes"
# What a layer of keras-cv overrides if it can move the like.
_HOOKS = {
    _MASKS: ("augment_segmentation_masks", "augment_segmentation_mask"),
    _BOXES: ("augment_bounding_boxes",),
}
# keras-cv's class of a box that is only there to fill a dense tensor.
_NO_BOX = -1


def refuse_annotations(layer: Any, views: Batch) -> None:
    """Raise if there are masks or boxes and `layer`, one of ours, would leave them behind."""
    if views.spatial and not keeps_positions(layer):
        raise ValueError(_cannot(layer, sorted(views.spatial)))


def prepared(annotations: Any, images: tf.Tensor) -> dict[str, Any]:
    """Return masks as float32 `(batch, height, width, classes)` and boxes as dense float32."""
    result: dict[str, Any] = {}
    if annotations and _MASKS in annotations:
        masks = tf.cast(tf.convert_to_tensor(annotations[_MASKS]), tf.float32)
        size = images.shape[1:3]
        if len(masks.shape) not in (3, 4) or not masks.shape[1:3].is_compatible_with(size):
            raise ValueError(
                "`segmentation_masks` must have the shape (batch, height, width) or (batch, "
                f"height, width, classes) with the height and width of the images, {tuple(size)}. "
                f"Received: shape {tuple(masks.shape)}"
            )
        result[_MASKS] = masks if len(masks.shape) == 4 else masks[..., tf.newaxis]
    if annotations and _BOXES in annotations:
        boxes = annotations[_BOXES]
        if not isinstance(boxes, dict) or not {"boxes", "classes"} <= set(boxes):
            received = sorted(boxes) if isinstance(boxes, dict) else type(boxes).__name__
            raise ValueError(
                "`bounding_boxes` must be a dict of keras-cv's: 'boxes' of shape (batch, boxes, 4) "
                f"and 'classes' of shape (batch, boxes). Received: {received}"
            )
        result[_BOXES] = {name: _dense(value) for name, value in boxes.items()}
    return result


def as_given(annotations: dict[str, Any] | None, given: Any) -> Any:
    """Return what `prepared` made, moved by now, in the form and dtypes of `given`."""
    if not given or not annotations:
        return given
    result: dict[str, Any] = {}
    if _MASKS in annotations:
        before = tf.convert_to_tensor(given[_MASKS])
        masks = annotations[_MASKS]
        masks = masks if len(before.shape) == 4 else masks[..., 0]
        whole = before.dtype.is_integer
        result[_MASKS] = tf.cast(tf.round(masks) if whole else masks, before.dtype)
    if _BOXES in annotations:
        result[_BOXES] = {
            name: _like(value, annotations[_BOXES]["classes"] != _NO_BOX, given[_BOXES][name])
            for name, value in annotations[_BOXES].items()
        }
    return result


def call_annotated(layer: Any, views: Batch) -> Batch:
    """Call a keras-cv layer that moves pixels on views whose annotations are `prepared`.

    Args:
        layer: A layer, or anything else that a policy may hold, which is refused.
        views: The batch.

    Raises:
        ValueError: If the layer cannot move such annotations.
    """
    given = views.spatial or {}
    missing = [kind for kind in given if not _follows(layer, kind)]
    if missing:
        raise ValueError(_cannot(layer, missing))
    refuse_per_pixel_labels(layer, views.x, views.y)
    inputs = {"images": views.x, **given}
    if tf.is_tensor(views.y):
        inputs["labels"] = tf.cast(views.y, layer.compute_dtype)
    outputs = call_on_dict(layer, inputs)
    moved: dict[str, Any] = {}
    if _MASKS in given:
        moved[_MASKS] = tf.cast(outputs[_MASKS], tf.float32)
    if _BOXES in given:
        # Boxes that left the image are gone now; a fixed number of boxes is filled up again.
        count = given[_BOXES]["boxes"].shape[1]
        moved[_BOXES] = {name: _dense(value, count) for name, value in outputs[_BOXES].items()}
    y = as_before(outputs["labels"], views.y) if "labels" in inputs else views.y
    return views._replace(x=outputs["images"], y=y, spatial=moved)


def _follows(layer: Any, kind: str) -> bool:
    """Return whether `layer` is one of keras-cv that moves annotations of this kind."""
    bases = keras_cv_bases()
    if not isinstance(layer, bases):
        return False
    inner = getattr(layer, "layers", None)
    if inner and kind == _MASKS:
        # A choice among layers, which hands its dict on.
        return all(keeps_positions(part) or _follows(part, kind) for part in inner)
    own = [cls for cls in type(layer).__mro__ if issubclass(cls, bases) and cls not in bases]
    return any(hook in vars(cls) for cls in own for hook in _HOOKS[kind])


def _cannot(layer: Any, kinds: list[str]) -> str:
    return (
        f"{type(layer).__name__} may move or mix pixels, and cannot do so with "
        f"{' and '.join(kinds)}. Received: them beside the images. Use layers of keras-cv that "
        "move them too, such as RandomFlip, RandomTranslation and RandomShear, or layers that "
        "change colours alone."
    )


def _dense(values: Any, count: int | None = None) -> tf.Tensor:
    if not isinstance(values, tf.RaggedTensor):
        return tf.cast(tf.convert_to_tensor(values), tf.float32)
    values = tf.cast(values, tf.float32)
    # The last axis of boxes is 4, even where a ragged tensor has forgotten it.
    last = [4] if len(values.shape) == 3 else []
    return values.to_tensor(default_value=_NO_BOX, shape=[None, count, *last])


def _like(values: tf.Tensor, exists: tf.Tensor, given: Any) -> Any:
    """Return dense `values` as a ragged tensor if `given` is one, and in its dtype."""
    if isinstance(given, tf.RaggedTensor):
        values = tf.ragged.boolean_mask(values, exists)
        return tf.cast(values, given.dtype)
    before = tf.convert_to_tensor(given).dtype
    return tf.cast(tf.round(values) if before.is_integer else values, before)
