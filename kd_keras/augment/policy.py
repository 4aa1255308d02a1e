"""The seeded policy: a list of layers whose views depend on (seed, step, position) alone."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from kd_keras.arguments import check_range, check_seed
from kd_keras.augment.calling import foreign_mixing_layer
from kd_keras.augment.contract import Augmentation
from kd_keras.augment.draws import Draws, own_key
from kd_keras.augment.layers.drawn import Drawn
from kd_keras.augment.layers.mixing import Mixing
from kd_keras.augment.rows import local_rows, only_rows
from kd_keras.augment.seeding import call_seeded, make_repeatable
from kd_keras.augment.unrepeatable import refuse_unrepeatable
from kd_keras.augment.value_range import as_dtype, clip, into_range, scale
from kd_keras.training.batch import Batch


@keras.saving.register_keras_serializable(package="kd_keras")
class Policy(Augmentation):
    """Apply layers to a batch so that the same seed and step give the same views.

    A view is a function of (seed, step, position in the global batch) and of the image: the same in
    eager execution and in a graph, on one replica and on several, after a resume, and in a batch
    that was cut short (where layers that compute exponentials, such as a blur, may differ in the
    last bit of a float). No state is kept. The layers draw their random numbers from the policy
    whatever their own seeds; images keep their dtype and stay in `value_range`. Label maps, boxes
    and keypoints move with the pixels, in `fit` by the Distiller's `spatial`, or are refused.

    Args:
        layers: keras-cv layers, layers of `kd_keras.augment` (of which at most one mixes), and
            callables and Keras layers on images that are deterministic (a callable that names
            `y` takes and returns images and labels). Layers with a random state
            that cannot be seeded are refused at the first batch.
        seed: Any integer.
        value_range: `(low, high)` of the images.
        name: What reports call it.
        layer_range: `(low, high)` that the layers were made for; images are scaled to it and back.
            By default `value_range`. Some colour layers of keras-cv are right for (0, 255) alone.

    Raises:
        TypeError: If `layers` holds something that is no layer.
        ValueError: If an argument is out of range or two layers mix.

    Example:

    >>> import keras_cv
    >>> import tensorflow as tf
    >>> from kd_keras.augment import GaussianNoise, Policy
    >>> policy = Policy([keras_cv.layers.RandomFlip(), GaussianNoise(0.02)], seed=7)
    >>> images = tf.cast(tf.random.uniform((4, 8, 8, 3), 0, 256, tf.int32), tf.uint8)
    >>> views = policy(images, step=12)
    >>> views.dtype, bool(tf.reduce_all(views == policy(images, step=12)))
    (tf.uint8, True)
    """

    minds_annotations = True

    def __init__(
        self,
        layers: Any,
        seed: int = 0,
        value_range: tuple[float, float] = (0, 255),
        name: str | None = None,
        layer_range: tuple[float, float] | None = None,
    ):
        if not isinstance(layers, (list, tuple)):
            raise TypeError(
                "`layers` must be a list of layers and callables. Received: "
                f"layers={layers!r} of type {type(layers).__name__}. For one layer, pass [layer]."
            )
        for layer in layers:
            _check_layer(layer)
            make_repeatable(layer)
        if sum(isinstance(layer, Mixing) for layer in layers) > 1:
            raise ValueError(
                "A policy may mix once: after a second mixing a view has up to four labels. "
                f"Received: layers={list(layers)!r}. Keep one of MixUp, CutMix and FMix."
            )
        self.layers = list(layers)
        self.seed = check_seed(seed)
        self.value_range = check_range("value_range", value_range)
        self.name = name or "policy"
        self.layer_range = (
            self.value_range if layer_range is None else check_range("layer_range", layer_range)
        )
        for layer in self.layers:
            if isinstance(layer, Drawn):
                layer.check_range(self.layer_range)
        self._known_repeatable = False

    def augment(self, views: Batch, step: Any) -> Batch:
        if not self.layers:
            return views
        images = tf.convert_to_tensor(views.x)
        dtype = images.dtype
        rows = local_rows(images)
        batch_size = images.shape[0]
        images = scale(into_range(images, self.value_range), self.value_range, self.layer_range)
        if not self._known_repeatable:
            self._refuse_unrepeatable(images, views.y)
        views = views._replace(x=images)
        for index, layer in enumerate(self.layers):
            draws = Draws(own_key(self.seed, index), step, rows)
            if isinstance(layer, Drawn):
                views = layer.moving(views, draws)
            else:
                views = call_seeded(layer, views, draws)
            views = views._replace(x=clip(views.x, self.layer_range))
        images = scale(views.x, self.layer_range, self.value_range)
        images = clip(images, self.value_range)
        images = tf.ensure_shape(images, [batch_size, *images.shape[1:]])
        return views._replace(x=as_dtype(images, dtype))

    def _refuse_unrepeatable(self, images: tf.Tensor, y: Any) -> None:
        for layer in self.layers:
            if isinstance(layer, Mixing):
                continue

            def call(x: Any, labels: Any, layer: Any = layer) -> Any:
                # In a graph of its own, where replicas cannot be asked for their parts.
                draws = Draws((0,), 0, only_rows(x))
                if isinstance(layer, Drawn):
                    return layer.apply(Batch(x), draws).x
                return call_seeded(layer, Batch(x, labels, spatial=()), draws).x

            refuse_unrepeatable(call, layer, images, y)
        self._known_repeatable = True

    def get_config(self) -> dict[str, Any]:
        return {
            "layers": keras.saving.serialize_keras_object(self.layers),
            "seed": self.seed,
            "value_range": list(self.value_range),
            "name": self.name,
            "layer_range": list(self.layer_range),
        }

    def __repr__(self) -> str:
        layers = ", ".join(
            repr(layer) if isinstance(layer, Augmentation) else type(layer).__name__
            for layer in self.layers
        )
        return f"Policy([{layers}], seed={self.seed}, name={self.name!r})"


def _check_layer(layer: Any) -> None:
    foreign = foreign_mixing_layer(layer)
    if foreign is not None:
        raise TypeError(
            f"{type(foreign).__name__} of {type(foreign).__module__.split('.')[0]} cannot be "
            "seeded, and blends label values. Received: it in `layers`. Use "
            "kd_keras.augment.MixUp() or kd_keras.augment.CutMix()."
        )
    if isinstance(layer, Policy):
        raise TypeError(
            f"A policy cannot hold a policy. Received: {layer!r} in `layers`. Join their `layers`, "
            "or pass both to the Distiller: augmentation=[first, second]."
        )
    if isinstance(layer, type) or not callable(layer):
        raise TypeError(
            "`layers` must hold layers and callables on images. Received: "
            f"{layer!r} of type {type(layer).__name__}"
            + (f". Pass an instance: {layer.__name__}(...)" if isinstance(layer, type) else "")
        )
