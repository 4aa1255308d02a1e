"""Labels that belong to places follow the layers that move pixels: maps, boxes and keypoints."""

from __future__ import annotations

from typing import Any

import keras_cv
import tensorflow as tf

from kd_keras.augment.calling import call_layer, call_on_dict, keras_cv_bases
from kd_keras.augment.draws import Draws
from kd_keras.augment.geometry import Move, moves_of, numbered, places_in, points_in_views
from kd_keras.augment.pixelwise import keeps_positions
from kd_keras.augment.places import at, changed, described, refuse_unmovable
from kd_keras.compat.model import flat_layers
from kd_keras.training.batch import Batch, Spatial

# keras-cv's class of a box that is only there to fill a dense tensor.
_NO_BOX = -1
# What a layer of keras-cv overrides if it can move the like itself.
_HOOKS = {
    "map": ("augment_segmentation_masks", "augment_segmentation_mask"),
    "boxes": ("augment_bounding_boxes",),
}


def call_moving(layer: Any, views: Batch, draws: Draws) -> Batch:
    """Call a layer that moves pixels on views that have labels in places; both move.

    Args:
        layer: A layer, or anything else that a policy may hold.
        views: The batch.
        draws: Where its random numbers come from, before any was drawn.

    Raises:
        ValueError: If it is not known where the layer moves pixels.
    """
    moves = moves_of(layer, views.x, draws.on(draws.rows))
    if moves is None:
        return _call_with_places(layer, views)
    x = call_layer(layer, views.x, None, step=draws.step)[0]
    return follow(layer, views, x, moves)


def follow(layer: Any, views: Batch, x: tf.Tensor, moves: list[Move]) -> Batch:
    """Return views of the images `x`, with labels moved as `moves` say.

    Args:
        layer: What moved them, for messages.
        views: The batch before.
        x: The images after.
        moves: What `moves_of` returned.
    """
    places = None
    if any(part.kind == "map" for part in views.spatial or ()):
        places = places_in(views.x, moves)
    from_outside = any(move.fill_mode == "constant" for move in moves)

    def moved(part: Spatial, value: Any) -> Any:
        if part.kind == "map":
            return _map_at(layer, value, places, part, from_outside, x.shape)
        if part.kind == "keypoints":
            return _keypoints(value, moves, x)
        return _boxes(layer, value, moves, part, views.x, x)

    return with_labels(views._replace(x=x), moved)


def with_labels(views: Batch, moved: Any) -> Batch:
    """Return the views with `moved(part, value)` in place of each part that moves."""
    y, weight, mix = views.y, views.weight, views.mix
    for part in views.spatial or ():
        if part.of == "y":
            y = changed(y, part.path, moved(part, at(y, part.path)))
        else:
            weight = changed(weight, part.path, moved(part, at(weight, part.path)))
        if mix is not None:
            inner = mix.y if part.of == "y" else mix.weight
            inner = changed(inner, part.path, moved(part, at(inner, part.path)))
            mix = mix._replace(y=inner) if part.of == "y" else mix._replace(weight=inner)
    return views._replace(y=y, weight=weight, mix=mix)


def _map_at(
    layer: Any, values: Any, places: Any, part: Spatial, from_outside: bool, x_shape: Any
) -> tf.Tensor:
    values = tf.convert_to_tensor(values)
    if from_outside and part.outside is None:
        raise ValueError(
            f"{type(layer).__name__} shows pixels from outside of the picture "
            "(fill_mode='constant'), which have no label. Received: it with "
            f"{described(part)} of shape {tuple(values.shape)}. {part.remedy}"
        )
    rest = values.shape[3:]
    shape, size = tf.shape(values), tf.shape(places)
    flat = tf.reshape(values, [shape[0], shape[1] * shape[2], *rest])
    index = tf.reshape(places, [size[0], size[1] * size[2]])
    taken = tf.gather(flat, tf.maximum(index - 1, 0), batch_dims=1)
    if from_outside:
        inside = tf.reshape(index > 0, [*tf.unstack(tf.shape(index)), *[1] * len(rest)])
        taken = tf.where(inside, taken, tf.cast(part.outside, values.dtype))
    taken = tf.reshape(taken, [*tf.unstack(size), *rest])
    return tf.ensure_shape(taken, [values.shape[0], *x_shape[1:3], *rest])


def _keypoints(values: Any, moves: list[Move], x: tf.Tensor) -> tf.Tensor:
    values = tf.convert_to_tensor(values)
    numbers = tf.cast(values, tf.float32)
    points = points_in_views(numbers[..., :2], moves)
    if values.shape[-1] == 3:
        size = tf.cast(tf.shape(x)[1:3][::-1], tf.float32)
        inside = tf.reduce_all((points >= -0.5) & (points <= size - 0.5), axis=-1, keepdims=True)
        points = tf.concat([points, tf.where(inside, numbers[..., 2:], 0.0)], axis=-1)
    return _in_dtype(points, values.dtype)


def _boxes(
    layer: Any, given: Any, moves: list[Move], part: Spatial, before: tf.Tensor, x: tf.Tensor
) -> dict[str, Any]:
    format_ = box_format(layer, part)
    boxes, classes = (tf.convert_to_tensor(given[name]) for name in ("boxes", "classes"))
    convert = keras_cv.bounding_box.convert_format
    corners = tf.cast(boxes, tf.float32)
    corners = convert(corners, source=format_, target="xyxy", images=before)
    left, top, right, bottom = tf.unstack(corners, axis=-1)
    count = tf.shape(left)[1]
    points = tf.concat(
        [tf.stack(pair, axis=-1) for pair in ((left, top), (right, top), (right, bottom))]
        + [tf.stack([left, bottom], axis=-1)],
        axis=1,
    )
    # A box is measured from the edge of the first pixel, half a pixel before its centre.
    points = points_in_views(points - 0.5, moves) + 0.5
    points = tf.reshape(points, [tf.shape(points)[0], 4, count, 2])
    size = tf.cast(tf.shape(x)[1:3][::-1], tf.float32)
    low = tf.clip_by_value(tf.reduce_min(points, axis=1), 0.0, size)
    high = tf.clip_by_value(tf.reduce_max(points, axis=1), 0.0, size)
    exists = tf.logical_and(tf.reduce_all(high > low, axis=-1), classes != _NO_BOX)
    moved = convert(tf.concat([low, high], axis=-1), source="xyxy", target=format_, images=x)
    moved = tf.where(exists[..., None], moved, float(_NO_BOX))
    return {
        **given,
        "boxes": tf.ensure_shape(_in_dtype(moved, boxes.dtype), boxes.shape),
        "classes": tf.where(exists, classes, tf.cast(_NO_BOX, classes.dtype)),
    }


def box_format(layer: Any, part: Spatial) -> str:
    """Return the format of boxes, which is the data's or was given to the layer.

    Raises:
        ValueError: If neither says, or they do not agree.
    """
    own = getattr(layer, "bounding_box_format", None)
    if part.format is None and own is None:
        raise ValueError(
            f"{type(layer).__name__} moves boxes, whose format nobody has said. Received: "
            "bounding_box_format=None. Say it where the policy is called, "
            "`policy(inputs, bounding_box_format='xyxy')`, or to the Distiller, "
            "`spatial={'boxes': 'xyxy'}`."
        )
    if part.format is not None and own is not None and own.lower() != part.format:
        raise ValueError(
            f"{type(layer).__name__} has bounding_box_format={own!r}, and the boxes are said to be "
            f"{part.format!r}. Received: both. Leave `bounding_box_format` out of the layer."
        )
    return part.format or str(own).lower()


def _in_dtype(values: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    return tf.cast(tf.round(values) if dtype.is_integer else values, dtype)


def _call_with_places(layer: Any, views: Batch) -> Batch:
    """Call a layer that moves masks and boxes itself, on a mask that numbers the pixels.

    A choice among layers of keras-cv, or a user's own layer: it alone knows where pixels go.
    """
    parts = views.spatial or ()
    kinds = [part.kind for part in parts]
    if kinds.count("boxes") > 1 or not all(_can_move(layer, kind) for kind in kinds):
        refuse_unmovable(layer, parts)
    inputs = {"images": views.x}
    if "map" in kinds:
        half = [part.name for part in flat_layers(layer) if "16" in part.compute_dtype]
        if half:
            raise ValueError(
                f"{type(layer).__name__} moves label maps in half precision, in which few whole "
                f"numbers are exact. Received: layers {half} of a 16-bit dtype. Make them with "
                "dtype='float32'."
            )
        inputs["segmentation_masks"] = numbered(views.x)
    for part in parts:
        if part.kind == "boxes":
            box_format(layer, part)
            given = at(views.y, part.path)
            inputs["bounding_boxes"] = {
                name: tf.cast(given[name], tf.float32) for name in ("boxes", "classes")
            }
    outputs = call_on_dict(layer, inputs)
    x, from_outside = outputs["images"], _may_show_outside(layer)

    def moved(part: Spatial, value: Any) -> Any:
        if part.kind == "boxes":
            return _filled_up(outputs["bounding_boxes"], value)
        places = tf.cast(tf.round(outputs["segmentation_masks"][..., 0]), tf.int32)
        return _map_at(layer, value, places, part, from_outside, x.shape)

    return with_labels(views._replace(x=x), moved)


def _filled_up(boxes: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Return boxes, of which those that left the picture are gone, as many as there were."""
    result = dict(given)
    for name in ("boxes", "classes"):
        before, values = tf.convert_to_tensor(given[name]), boxes[name]
        if isinstance(values, tf.RaggedTensor):
            shape = [None, *before.shape[1:]]
            values = values.to_tensor(default_value=float(_NO_BOX), shape=shape)
        result[name] = _in_dtype(values, before.dtype)
    return result


def _can_move(layer: Any, kind: str) -> bool:
    """Return whether `layer` is one of keras-cv that moves labels of this kind itself."""
    bases = keras_cv_bases()
    if kind not in _HOOKS or not isinstance(layer, bases):
        return False
    if kind == "map" and isinstance(layer, keras_cv.layers.RandomRotation):
        return False  # it blends masks
    inner = getattr(layer, "layers", None)
    if inner:
        # A choice among layers, which hands its dict on, but cannot join boxes.
        return kind == "map" and all(keeps_positions(la) or _can_move(la, kind) for la in inner)
    filled = getattr(layer, "fill_mode", None) == "constant"
    if kind == "map" and filled and getattr(layer, "fill_value", 0) != 0:
        return False  # it would fill with a pixel's number
    own = [cls for cls in type(layer).__mro__ if issubclass(cls, bases) and cls not in bases]
    return any(hook in vars(cls) for cls in own for hook in _HOOKS[kind])


def _may_show_outside(layer: Any) -> bool:
    known = (keras_cv.layers.RandomFlip, keras_cv.layers.RandomCropAndResize)
    return any(
        getattr(part, "fill_mode", "constant") == "constant"
        for part in flat_layers(layer)
        if not isinstance(part, (*known, keras_cv.layers.RandomChoice))
        and not keeps_positions(part)
    )
