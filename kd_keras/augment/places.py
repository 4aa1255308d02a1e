"""The parts of a batch that belong to places of the picture. Does not import keras-cv."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NoReturn

from kd_keras.augment.calling import call_layer
from kd_keras.training.batch import Batch, Spatial

_KINDS = {"map": "segmentation_masks", "boxes": "bounding_boxes", "keypoints": "keypoints"}


def at(structure: Any, path: tuple[Any, ...]) -> Any:
    """Return what is in `structure` at the end of `path`."""
    for key in path:
        structure = structure[key]
    return structure


def changed(structure: Any, path: tuple[Any, ...], value: Any) -> Any:
    """Return `structure` with `value` at the end of `path`; it is not changed itself."""
    if not path:
        return value
    key, *rest = path
    inner = changed(structure[key], tuple(rest), value)
    if isinstance(structure, dict):
        return {**structure, key: inner}
    parts = [inner if place == key else part for place, part in enumerate(structure)]
    return parts if isinstance(structure, list) else tuple(parts)


def leaves(structure: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, Any]]:
    """Yield the path of each leaf, and the leaf."""
    if isinstance(structure, (dict, list, tuple)):
        pairs = structure.items() if isinstance(structure, dict) else enumerate(structure)
        for key, inner in pairs:
            yield from leaves(inner, (*path, key))
    else:
        yield path, structure


def call_on_labels(function: Any, views: Batch, step: Any) -> Batch:
    """Call a function that names `y` in its signature, which moves inputs and labels itself.

    Args:
        function: The user's.
        views: The batch.
        step: Count of the steps so far, for a function that names `step` too.

    Raises:
        ValueError: If the views have two labels each, or weights that it could not move.
    """
    if views.mix is not None:
        raise ValueError(
            f"{function!r} names `y` in its signature, and met views that are mixed, which have "
            "two labels each. Received: it behind MixUp, CutMix or FMix. Put it before them."
        )
    if any(part.of == "weight" for part in views.spatial or ()):
        raise ValueError(
            f"{function!r} moves x and y, and a `sample_weight` for every pixel would stay where "
            "it is. Received: such weights. Use a kd_keras.augment.Policy of layers, which moves "
            "weights too, or mark pixels by `ignore_class` instead of weighing them."
        )
    x, y = call_layer(function, views.x, views.y, step=step)
    return views._replace(x=x, y=y)


def described(part: Spatial) -> str:
    """Return what a message calls a part."""
    if part.of == "weight":
        return "weights of pixels"
    return "label maps" if not part.path else f"{part.path[-1]!r}"


def refuse_unmovable(layer: Any, parts: tuple[Spatial, ...], alone: bool = False) -> NoReturn:
    """Raise for a layer that would leave labels behind, or cannot say where it moves pixels.

    Args:
        layer: The layer, or a function.
        parts: What would have to move.
        alone: Whether it is in no policy, which is what moves labels.
    """
    what = " and ".join(sorted({_KINDS[part.kind] for part in parts}))
    where = "into a kd_keras.augment.Policy([...]) put" if alone else "use"
    raise ValueError(
        f"{type(layer).__name__} may move or mix pixels, and cannot do so with {what}. Received: "
        f"them beside the images. To move both, {where} layers of keras-cv (RandomFlip, "
        "RandomRotation, RandomTranslation, RandomZoom, RandomShear, RandomCrop, "
        "RandomCropAndResize) or of kd_keras.augment, of which RandomSubset chooses among them; or "
        "a function that names `y`, `lambda x, y: (moved(x), moved(y))`. Layers that change "
        "colours alone need none of it. For labels that are no places of the picture pass "
        "`spatial=False` to the Distiller."
    )
