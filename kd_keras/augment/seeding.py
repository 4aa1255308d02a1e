"""Make keras-cv layers draw from (seed, step, position) while a policy calls them."""

from __future__ import annotations

from typing import Any

import keras
import keras_cv
import tensorflow as tf

from kd_keras.augment.calling import (
    call_layer,
    refuse_per_pixel_labels,
    takes_dict,
    takes_labels,
)
from kd_keras.augment.draws import Draws, active_draws, drawing_from, with_hidden_shape
from kd_keras.augment.following import call_moving
from kd_keras.augment.pixelwise import keeps_positions, on_rgb
from kd_keras.augment.places import call_on_labels
from kd_keras.compat.keras_cv_layers import replace_generator, replace_map
from kd_keras.compat.model import flat_layers
from kd_keras.training.batch import Batch


def make_repeatable(layer: Any) -> None:
    """Route the random numbers of a keras-cv layer, and of the layers inside it, through `Draws`.

    The layer keeps its own sources and goes back to them whenever no policy calls it, so it works
    alone as before. A second call changes nothing.
    """
    if not isinstance(layer, keras.layers.Layer):
        return
    for part in flat_layers(layer):
        replace_generator(part, SeededGenerator)
        for name, value in list(vars(part).items()):
            if isinstance(value, _SEEDABLE_FACTORS):
                setattr(part, name, SeededFactor(value))
        if isinstance(part, keras_cv.layers.BaseImageAugmentationLayer):
            replace_map(part, _SeededMap, _SeededMap)


def call_seeded(layer: Any, views: Batch, draws: Draws) -> Batch:
    """Call `layer`, any layer or callable that `make_repeatable` has seen, on a batch.

    Args:
        layer: A layer or a callable.
        views: The batch.
        draws: Where its random numbers come from.
    """
    images = with_hidden_shape(views.x, draws.step)
    with drawing_from(draws):
        views = views._replace(x=images)
        if takes_labels(layer):
            return call_on_labels(layer, views, draws.step)
        if views.spatial and not keeps_positions(layer):
            return call_moving(layer, views, draws)
        if takes_dict(layer):
            refuse_per_pixel_labels(layer, views)
        # Labels are shown to layers that may have a mind of their own, but not those in places.
        labels = shown = None if views.spatial else views.y

        def call(images: tf.Tensor) -> tf.Tensor:
            nonlocal labels
            images, labels = call_layer(layer, images, shown, step=draws.step)
            return images

        x = on_rgb(layer, images, call)
    return views._replace(x=x, y=views.y if views.spatial else labels)


class SeededGenerator:
    """Stand in for the `tf.random.Generator` of a keras-cv layer.

    Args:
        generator: The layer's own generator, used outside of policies.
    """

    def __init__(self, generator: tf.random.Generator):
        self._generator = generator

    def uniform(self, shape: Any, *args: Any, **kwargs: Any) -> tf.Tensor:
        return (active_draws() or self._generator).uniform(shape, *args, **kwargs)

    def normal(self, shape: Any, *args: Any, **kwargs: Any) -> tf.Tensor:
        return (active_draws() or self._generator).normal(shape, *args, **kwargs)

    def truncated_normal(self, shape: Any, *args: Any, **kwargs: Any) -> tf.Tensor:
        return (active_draws() or self._generator).truncated_normal(shape, *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        # Whatever else a layer asks for is unseeded; `unseeded.py` notices if a policy uses it.
        return getattr(self._generator, name)


@keras.saving.register_keras_serializable(package="kd_keras")
class SeededFactor(keras_cv.core.FactorSampler):
    """Stand in for a keras-cv factor sampler, whose own draws cannot be seeded.

    Args:
        sampler: The layer's own sampler, used outside of policies; it gives the distribution.
    """

    def __init__(self, sampler: keras_cv.core.FactorSampler):
        self.sampler = sampler

    def __call__(self, shape: Any = (), dtype: Any = "float32") -> tf.Tensor:
        draws = active_draws()
        shape = () if shape is None else shape
        sampler = self.sampler
        if draws is None:
            return sampler(shape=shape, dtype=dtype)
        if isinstance(sampler, keras_cv.core.UniformFactorSampler):
            return draws.uniform(shape, sampler.lower, sampler.upper, dtype)
        values = draws.normal(shape, sampler.mean, sampler.stddev, dtype)
        return tf.clip_by_value(values, sampler.min_value, sampler.max_value)

    def get_config(self) -> dict[str, Any]:
        return {"sampler": keras.saving.serialize_keras_object(self.sampler)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> SeededFactor:
        return cls(keras.saving.deserialize_keras_object(config["sampler"]))


_SEEDABLE_FACTORS = (keras_cv.core.UniformFactorSampler, keras_cv.core.NormalFactorSampler)


class _SeededMap:
    """Stand in for the loop over single images, so that each image draws at its own position."""

    def __init__(self, layer: Any, original: Any):
        self._layer = layer
        self._original = original

    def __call__(self, function: Any, inputs: dict[str, Any]) -> Any:
        draws = active_draws()
        if draws is None:
            return self._original(function, inputs)
        draws_at = draws.one_by_one()

        signature = self._layer._compute_output_signature(inputs)

        def each(index: tf.Tensor, inputs: dict[str, Any]) -> Any:
            return tf.map_fn(at_position, (index, inputs), fn_output_signature=signature)

        def at_position(element: tuple[tf.Tensor, dict[str, Any]]) -> Any:
            position, example = element
            with drawing_from(draws_at(position)):
                outputs = function(example)
            # keras-cv announces labels as floats, and hands on whatever came in.
            announced = {name: outputs[name] for name in signature}
            return tf.nest.map_structure(
                lambda value, spec: tf.cast(value, spec.dtype), announced, signature
            )

        # Branches of keras-cv's RandomChoice are all traced in a graph, and only one of them is run
        # eagerly, which would number the draws after it otherwise. So it always is a graph.
        if tf.executing_eagerly():
            each = tf.function(each, autograph=False)
        return each(draws.rows.index, inputs)
