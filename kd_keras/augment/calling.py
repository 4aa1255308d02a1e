"""How a layer or a callable of any origin is called on a batch. Does not import keras-cv."""

from __future__ import annotations

import inspect
import sys
from typing import Any

import keras
import tensorflow as tf

from kd_keras.augment.pixelwise import keeps_positions
from kd_keras.compat.model import flat_layers
from kd_keras.training.batch import Batch

# The base class of all image layers of Keras has no public name of its own.
_KerasImageLayer: type = keras.layers.RandomFlip.__base__ or keras.layers.Layer
_KERAS_MIXING = (keras.layers.MixUp, keras.layers.CutMix)
_KERAS_CV_MIXING = ("MixUp", "CutMix", "FourierMix", "Mosaic")
# Layers of keras-cv that ask `if` of a tensor, alone or inside of RandAugment and AugMix.
_KERAS_CV_BRANCHING = ("Equalization", "RandomApply")


def takes_dict(layer: Any) -> bool:
    """Return whether `layer` takes `{"images": ..., "labels": ...}`."""
    return isinstance(layer, (_KerasImageLayer, *keras_cv_bases()))


def call_layer(
    layer: Any, x: Any, y: Any, sample_weight: Any = None, step: Any = None
) -> tuple[Any, Any]:
    """Call `layer` on a batch and return the new `x` and `y`.

    Image layers of Keras and keras-cv get images and labels in a dict; anything else gets `x`, and
    a function that names `y` in its signature gets both and returns both. Labels come back in the
    dtype and shape in which they went in.

    Args:
        layer: A Keras or keras-cv layer, or any callable.
        x: A tensor or, for a plain callable, a structure of them.
        y: Labels, a structure of them, or `None`.
        sample_weight: Weights of the examples, which a mixing layer would leave behind.
        step: Count of the steps so far, for a callable that names `step` in its signature.
    """
    _refuse_foreign_mixing(layer, y, sample_weight)
    refuse_images_without_channels(layer, x)
    options: dict[str, Any] = {"training": True} if names(layer, "training") else {}
    if not takes_dict(layer):
        if isinstance(layer, keras.layers.Layer):
            x = _floating_images(x)
        elif names(layer, "step"):
            options["step"] = step
        if takes_labels(layer):
            outputs, y = _pair(layer, layer(x, y=y, **options), y)
        else:
            outputs = layer(x, **options)
        return _same_float_dtype(outputs, x), y
    if not tf.is_tensor(x):
        raise TypeError(
            f"{type(layer).__name__} augments one image tensor. Received: x={_describe(x)}. For "
            "inputs of several tensors pass a callable that takes and returns the structure."
        )
    x = _floating_images(x)
    if not tf.is_tensor(y):
        outputs = call_on_dict(layer, {"images": x}, options)
        return _same_float_dtype(outputs["images"], x), y
    labels = y
    if not isinstance(layer, _KerasImageLayer):
        # Some layers of keras-cv cast labels and others do not, which a RandomChoice cannot join.
        labels = tf.cast(y, layer.compute_dtype)
    outputs = call_on_dict(layer, {"images": x, "labels": labels}, options)
    return _same_float_dtype(outputs["images"], x), as_before(outputs["labels"], y)


def call_on_dict(
    layer: Any, inputs: dict[str, Any], options: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Call an image layer of Keras or keras-cv on `{"images": ..., ...}`, as graphs need it.

    Args:
        layer: The layer.
        inputs: What it takes.
        options: Further arguments of its call.

    Raises:
        TypeError: If the layer cannot be called in a graph.
        ValueError: If the images come out in different sizes.
    """

    def call(inputs: dict[str, Any]) -> dict[str, Any]:
        return layer(inputs, **(options or {}))

    try:
        if _branches(layer):
            # Neither `fit` nor a policy converts code with AutoGraph, which these layers need.
            # Eagerly too, for some call their parts in a graph of their own. Traced anew each time,
            # which is meant: the draws are those of this call.
            specs = tf.nest.map_structure(tf.type_spec_from_value, inputs)
            outputs = tf.function(call, autograph=True).get_concrete_function(specs)(inputs)
        else:
            outputs = call(inputs)
    except tf.errors.OperatorNotAllowedInGraphError as error:
        raise TypeError(
            f"{type(layer).__name__} asks `if` of a tensor, which a graph cannot answer. Received: "
            "it among the augmentations. Use a layer that does not (of keras-cv's RandomApply the "
            "one without batchwise=True), or tf.cond in one of your own."
        ) from error
    if isinstance(outputs["images"], tf.RaggedTensor):
        raise ValueError(
            f"{type(layer).__name__} returns images of different sizes, and the networks take one "
            "size. Received: it among the augmentations. Use a layer that keeps the size, such as "
            "kd_keras.augment.RandomResizedCrop()."
        )
    return outputs


def _branches(layer: keras.layers.Layer) -> bool:
    library = sys.modules.get("keras_cv")
    if library is None:
        return False
    branching = tuple(getattr(library.layers, name) for name in _KERAS_CV_BRANCHING)
    return any(isinstance(part, branching) for part in flat_layers(layer))


def keras_cv_bases() -> tuple[type, ...]:
    """Return the base classes of keras-cv's layers on images; none while it is not imported."""
    # A layer of keras-cv can only be here if keras-cv was imported already.
    library = sys.modules.get("keras_cv")
    if library is None:
        return ()
    return (
        library.layers.BaseImageAugmentationLayer,
        library.layers.VectorizedBaseImageAugmentationLayer,
    )


def foreign_mixing_layer(layer: Any) -> Any:
    """Return the layer of Keras or keras-cv that mixes examples, in `layer` or itself, if any."""
    if not isinstance(layer, keras.layers.Layer):
        return None
    mixing = _mixing_classes()
    return next((part for part in flat_layers(layer) if isinstance(part, mixing)), None)


def refuse_images_without_channels(layer: Any, x: Any) -> None:
    """Raise where an image layer would take a batch of rank 3 for one image and move its rows.

    Args:
        layer: A layer of Keras or keras-cv, or one that holds some.
        x: The batch.
    """
    if not isinstance(layer, keras.layers.Layer) or not tf.is_tensor(x) or len(x.shape) != 3:
        return
    bases = (_KerasImageLayer, *keras_cv_bases())
    inner = next((part for part in flat_layers(layer) if isinstance(part, bases)), None)
    if inner is not None:
        raise ValueError(
            f"{type(inner).__name__} needs images of shape (batch, height, width, channels); a "
            "batch of rank 3 it takes for one image, and moves its rows. Received: x of shape "
            f"{tuple(x.shape)}. Give grey images their channel: x[..., None]."
        )


def refuse_per_pixel_labels(layer: Any, views: Batch) -> None:
    """Raise if `layer` might move pixels away from labels of which nobody said that they move."""
    x = views.x
    if views.spatial is not None or not tf.is_tensor(x):
        return
    size = x.shape[1:3]
    for label in keras.tree.flatten(views.y):
        shape = getattr(label, "shape", ())
        per_pixel = len(shape) >= 3 and len(x.shape) == 4 and tuple(shape[1:3]) == tuple(size)
        if per_pixel and not keeps_positions(layer):
            raise ValueError(
                f"{type(layer).__name__} may move pixels, and per-pixel labels would stay where "
                f"they are. Received: labels of shape {tuple(shape)} with images of shape "
                f"{tuple(x.shape)}. In `fit` put layers of keras-cv or kd_keras.augment into a "
                "kd_keras.augment.Policy([...]), which moves both; called on a dict it moves "
                "what is under 'segmentation_masks'. Or use layers that keep positions."
            )


def _refuse_foreign_mixing(layer: Any, y: Any, sample_weight: Any) -> None:
    inner = foreign_mixing_layer(layer)
    if inner is None or y is None:
        return
    name = type(inner).__name__
    one_hot = (
        tf.is_tensor(y) and y.dtype.is_floating and len(y.shape) == 2 and y.shape[-1] not in (1,)
    )
    if not one_hot or not takes_dict(layer):
        raise ValueError(
            f"`augmentation` holds {name} of {type(inner).__module__.split('.')[0]}, which blends "
            "label values: class ids would become fractions. It works on one-hot float labels "
            f"alone, called directly. Received: y={_describe(y)}. Use "
            "kd_keras.augment.MixUp() or kd_keras.augment.CutMix(), which keep any label format."
        )
    if sample_weight is not None:
        raise ValueError(
            f"`augmentation` holds {name} of {type(inner).__module__.split('.')[0]}, which mixes "
            "labels but not `sample_weight` or `class_weight`. Received: a weight for each "
            "example. Use kd_keras.augment.MixUp() or kd_keras.augment.CutMix(), which keep the "
            "weight of each label."
        )


def _mixing_classes() -> tuple[type, ...]:
    library = sys.modules.get("keras_cv")
    if library is None:
        return _KERAS_MIXING
    return (*_KERAS_MIXING, *(getattr(library.layers, name) for name in _KERAS_CV_MIXING))


def takes_labels(layer: Any) -> bool:
    """Return whether `layer` is a function that takes and returns inputs and labels."""
    return not isinstance(layer, keras.layers.Layer) and names(layer, "y")


def _pair(function: Any, outputs: Any, y: Any) -> tuple[Any, Any]:
    """Return what a function of inputs and labels returned, after checking the labels."""
    if not isinstance(outputs, (tuple, list)) or len(outputs) != 2:
        raise ValueError(
            f"A function that names `y` in its signature must return both, `(x, y)`. Received: "
            f"{function!r} returned {_describe(outputs)}. Return a pair, or leave `y` out of its "
            "signature."
        )
    x, labels = outputs
    old, new = (keras.tree.flatten(part) for part in (y, labels))
    try:
        keras.tree.assert_same_structure(y, labels)
        alike = all(
            a is b or (len(a.shape) == len(b.shape) and a.shape[:1].is_compatible_with(b.shape[:1]))
            for a, b in zip(map(_as_tensor, old), map(_as_tensor, new), strict=True)
        )
    except (ValueError, TypeError):
        alike = False
    if not alike:
        raise ValueError(
            "A function that names `y` in its signature must return labels of the structure, rank "
            f"and batch that it got. Received: {function!r} returned y={_describe(labels)} for "
            f"y={_describe(y)}. Return `y` as it is where nothing moves."
        )
    pairs = zip(map(_as_tensor, new), map(_as_tensor, old), strict=True)
    same = [None if b is None else tf.cast(a, b.dtype) for a, b in pairs]
    return x, keras.tree.pack_sequence_as(y, same)


def _as_tensor(leaf: Any) -> Any:
    return None if leaf is None else tf.convert_to_tensor(leaf)


def names(function: Any, parameter: str) -> bool:
    """Return whether `function`, or the call of a layer, has a parameter of that name."""
    target = function.call if isinstance(function, keras.layers.Layer) else function
    try:
        return parameter in inspect.signature(target).parameters
    except ValueError:  # a builtin without a signature
        return False


def _floating_images(x: Any) -> Any:
    """Return images of whole numbers as float32: many layers add floats to what they get."""
    if tf.is_tensor(x) and x.dtype.is_integer and len(x.shape) == 4:
        return tf.cast(x, tf.float32)
    return x


def _same_float_dtype(after: Any, before: Any) -> Any:
    """Return `after` in the float dtype that went in, not the one that a layer computes in."""
    if tf.is_tensor(before) and tf.is_tensor(after) and before.dtype.is_floating:
        return tf.cast(after, before.dtype) if after.dtype.is_floating else after
    return after


def as_before(after: tf.Tensor, before: tf.Tensor) -> tf.Tensor:
    """Return labels in their own dtype, which a layer of keras-cv may have left for its own.

    A class id need not survive float16, so every label that the layer only cast stays as it was.
    """
    if after.dtype != before.dtype:
        untouched = after == tf.cast(before, after.dtype)
        if not before.dtype.is_floating:
            after = tf.round(after)
        after = tf.where(untouched, before, tf.cast(after, before.dtype))
    return tf.ensure_shape(after, before.shape)


def _describe(structure: Any) -> Any:
    return keras.tree.map_structure(
        lambda leaf: f"{leaf.dtype.name}{tuple(leaf.shape)}" if tf.is_tensor(leaf) else leaf,
        structure,
    )
