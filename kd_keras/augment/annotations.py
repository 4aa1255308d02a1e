"""Masks, boxes and keypoints in the dict that an augmentation takes. Does not import keras-cv."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from kd_keras.training.batch import Batch, Spatial
from kd_keras.training.spatial import check_box_format, check_boxes, check_keypoints, check_map

MASKS, BOXES, KEYPOINTS = "segmentation_masks", "bounding_boxes", "keypoints"
ANNOTATIONS = (MASKS, BOXES, KEYPOINTS)
_NO_BOX = -1
_REMEDY = (
    "Pass the label that such pixels get, `policy(inputs, outside=255)`, or take layers with "
    "fill_mode='reflect'."
)


def annotated(inputs: dict[str, Any], outside: Any, box_format: str | None) -> Batch:
    """Return the batch of a dict that has annotations, all of which are among its labels.

    Args:
        inputs: As `kd_keras.augment.Policy` takes it.
        outside: What masks say of pixels from outside of the picture, or `None`.
        box_format: Of the boxes, by keras-cv's name, or `None`.

    Raises:
        ValueError: If an annotation has another form.
    """
    images = tf.convert_to_tensor(inputs["images"])
    y: dict[str, Any] = {"labels": inputs["labels"]} if "labels" in inputs else {}
    parts = []
    if MASKS in inputs:
        y[MASKS] = tf.convert_to_tensor(inputs[MASKS])
        check_map(f"`{MASKS}`", y[MASKS], images)
        zero = 0 if y[MASKS].dtype.is_floating else None
        said = zero if outside is None else outside
        parts.append(Spatial("y", (MASKS,), "map", said, _REMEDY))
    if BOXES in inputs:
        check_boxes(f"`{BOXES}`", inputs[BOXES])
        check_box_format(box_format)
        y[BOXES] = {name: _dense(value) for name, value in inputs[BOXES].items()}
        parts.append(Spatial("y", (BOXES,), "boxes", format=box_format))
    if KEYPOINTS in inputs:
        y[KEYPOINTS] = tf.convert_to_tensor(inputs[KEYPOINTS])
        check_keypoints(f"`{KEYPOINTS}`", y[KEYPOINTS])
        parts.append(Spatial("y", (KEYPOINTS,), "keypoints"))
    return Batch(images, y, inputs.get("sample_weight"), spatial=tuple(parts))


def as_given(labels: dict[str, Any], inputs: dict[str, Any]) -> dict[str, Any]:
    """Return the labels of `annotated`, moved by now, in the form in which they were given."""
    result = dict(labels)
    if BOXES in labels:
        exists = labels[BOXES]["classes"] != _NO_BOX
        result[BOXES] = {
            name: tf.ragged.boolean_mask(value, exists)
            if isinstance(inputs[BOXES][name], tf.RaggedTensor)
            else value
            for name, value in labels[BOXES].items()
        }
    return result


def _dense(values: Any) -> tf.Tensor:
    if not isinstance(values, tf.RaggedTensor):
        return tf.convert_to_tensor(values)
    # The last axis of boxes is 4, even where a ragged tensor has forgotten it.
    last = [4] if len(values.shape) == 3 else []
    return values.to_tensor(default_value=tf.cast(_NO_BOX, values.dtype), shape=[None, None, *last])
