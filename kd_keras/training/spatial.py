"""Which labels belong to places of the picture, and move with it when it is augmented."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from kd_keras.augment.places import at, leaves
from kd_keras.training import labels
from kd_keras.training.batch import Batch, Spatial

_BOX_FORMATS = (
    "xyxy",
    "yxyx",
    "xywh",
    "center_xywh",
    "center_yxhw",
    "rel_xyxy",
    "rel_yxyx",
    "rel_xywh",
)
_REMEDY = (
    "Compile with a loss that ignores a label, `SparseCategoricalCrossentropy(ignore_class=255)`, "
    "which such pixels then get; or give a `sample_weight` for every pixel, which becomes 0 there; "
    "or take layers with fill_mode='reflect'."
)


class SpatialLabels:
    """What `spatial` says of the labels. A plain object, so that Keras tracks nothing of it.

    Args:
        given: As `kd_keras.Distiller` takes it.

    Raises:
        ValueError: If it is something else.
    """

    def __init__(self, given: Any):
        self.given = given
        for leaf in [given] if given is None else keras.tree.flatten(given):
            if leaf is None or isinstance(leaf, bool):
                continue
            if leaf != "keypoints" and leaf not in _BOX_FORMATS:
                raise ValueError(
                    "`spatial` must be None (label maps of the size of the image are found), "
                    "False (no labels move), True (all are label maps), 'keypoints', the format of "
                    f"boxes, one of {_BOX_FORMATS}, or a dict, list or tuple of those, as y is. "
                    f"Received: spatial={given!r}. For a dict y: spatial={{'mask': True, "
                    "'boxes': 'xyxy'}."
                )

    def parts(self, batch: Batch, loss: Any) -> tuple[Spatial, ...]:
        """Return the parts of the labels and their weights that move.

        Args:
            batch: As the augmentation is to see it.
            loss: The compiled loss as given, which may know a label to ignore.

        Raises:
            ValueError: If labels have another form than `spatial` says.
        """
        x, y = batch.x, batch.y
        if self.given is False or y is None:
            return ()
        if keras.tree.is_nested(x) or len(getattr(x, "shape", ())) != 4:
            if not any(keras.tree.flatten(self.given)):
                return ()
            raise ValueError(
                "`spatial` says that labels belong to places of the picture, which must be one "
                "tensor (batch, height, width, channels). Received: x="
                f"{keras.tree.map_structure(lambda t: tuple(t.shape), x)}. For several inputs pass "
                "a function as augmentation that takes and returns both, `lambda x, y: (x, y)`, "
                "and leave `spatial` out."
            )
        weights = tuple(
            Spatial("weight", path, "map", 0)
            for path, leaf in leaves(batch.weight)
            if leaf is not None and _is_map(leaf, x)
        )
        found = []
        for path, said in _said(self.given, y, x, ()):
            value = at(y, path)
            if said is True:
                weighed = any(part.path in (path, ()) for part in weights)
                outside, remedy = _label_outside(_loss_at(loss, path), value, weighed)
                found.append(Spatial("y", path, "map", outside, remedy))
            elif said == "keypoints":
                check_keypoints(f"`y`{_place(path)}", value)
                found.append(Spatial("y", path, "keypoints"))
            else:
                check_boxes(f"`y`{_place(path)}", value)
                found.append(Spatial("y", path, "boxes", format=said))
        return (*found, *weights) if found else ()


def check_map(name: str, values: Any, images: Any) -> None:
    """Raise `ValueError` if `values` are no label map of the images."""
    if not _is_map(values, images):
        raise ValueError(
            f"{name} must have the shape (batch, height, width) or (batch, height, width, classes) "
            f"with the height and width of the images, {tuple(images.shape[1:3])}. Received: shape "
            f"{tuple(getattr(values, 'shape', ()))}. Resize them, to the nearest pixel."
        )


def check_boxes(name: str, values: Any) -> None:
    """Raise `ValueError` if `values` are no boxes as keras-cv has them."""
    if not isinstance(values, dict) or not {"boxes", "classes"} <= set(values):
        received = sorted(values) if isinstance(values, dict) else type(values).__name__
        raise ValueError(
            f"{name} must be a dict of keras-cv's: 'boxes' of shape (batch, boxes, 4) and "
            f"'classes' of shape (batch, boxes). Received: {received}"
        )


def check_box_format(value: Any) -> None:
    """Raise `ValueError` if `value` is neither `None` nor a format that keras-cv knows."""
    if value is not None and value not in _BOX_FORMATS:
        raise ValueError(
            f"`bounding_box_format` must be one of {_BOX_FORMATS}. Received: "
            f"bounding_box_format={value!r}. Convert the boxes first, with "
            "keras_cv.bounding_box.convert_format."
        )


def check_keypoints(name: str, values: Any) -> None:
    """Raise `ValueError` if `values` are no keypoints."""
    shape = tuple(getattr(values, "shape", ()))
    if len(shape) != 3 or shape[-1] not in (2, 3):
        raise ValueError(
            f"{name} must be keypoints of shape (batch, points, 2), (x, y) in pixels, or (batch, "
            f"points, 3) with visibility. Received: shape {shape}. Reshape a flat list: "
            "y.reshape(-1, points, 2)."
        )


def _is_map(values: Any, images: Any) -> bool:
    shape = tuple(getattr(values, "shape", ()))
    return len(shape) in (3, 4) and shape[1:3] == tuple(images.shape[1:3])


def _said(given: Any, y: Any, x: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, Any]]:
    """Yield the path of each part that moves, and what was said of it."""
    if given is None:
        yield from ((where, True) for where, leaf in leaves(y, path) if _is_map(leaf, x))
    elif given is True:
        for where, leaf in leaves(y, path):
            check_map(f"`y`{_place(where)}", leaf, x)
            yield where, True
    elif isinstance(given, str):
        yield path, given
    elif given is not False:
        pairs = given.items() if isinstance(given, dict) else enumerate(given)
        known = y if isinstance(y, dict) else range(len(y)) if isinstance(y, (list, tuple)) else ()
        for key, inner in pairs:
            if key not in known:
                received = f"a dict with keys {sorted(y)}" if isinstance(y, dict) else type(y)
                raise ValueError(
                    f"`spatial` speaks of `y`{_place((*path, key))}, which must be there. "
                    f"Received: y as {received}. Write `spatial` in the form of y."
                )
            if inner is not None:
                yield from _said(inner, y[key], x, (*path, key))


def _place(path: tuple[Any, ...]) -> str:
    return "".join(f"[{key!r}]" for key in path)


def _loss_at(loss: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        if not isinstance(loss, (dict, list, tuple)):
            return None
        if key not in (loss if isinstance(loss, dict) else range(len(loss))):
            return None
        loss = loss[key]
    found = keras.tree.flatten(loss)
    return found[0] if len(found) == 1 else None


def _label_outside(loss: Any, values: Any, weighed: bool) -> tuple[Any, str]:
    """Return the label of a pixel from outside that teaches nothing, if any; else a remedy."""
    ignored = getattr(loss, "ignore_class", None)
    if ignored is not None:
        dtype = tf.as_dtype(values.dtype)
        if dtype.is_floating or dtype.min <= ignored <= dtype.max:
            return ignored, ""
        remedy = f"Labels of dtype {dtype.name} cannot hold ignore_class={ignored}: cast to int32."
        return None, remedy
    # All zeros for one value per class: the crossentropy of nothing is 0.
    empty = labels.takes_empty_rows(loss)
    return (0, "") if weighed or empty else (None, _REMEDY)
