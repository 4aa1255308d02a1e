"""Views from a generator: some of the batch's images give way to generated ones."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from kd_keras.arguments import check_number
from kd_keras.augment.draws import Draws
from kd_keras.augment.layers.drawn import Drawn
from kd_keras.generator import CheckedGenerator
from kd_keras.training.batch import Batch


class Generated(Drawn):
    """Replace a share of the batch's images by images of a generator.

    Each example is replaced with probability `share`, by an image of a latent z ~ N(0, 1) and, for
    a conditional generator, of a class drawn uniformly. Its label becomes that class, in the
    format of the batch's labels; its sample weight stays. Place, latent and class are functions of
    (seed, step, position). The generator is called with `training=False` and never trained.

    A generator without classes has no labels to give: it works on batches without labels, as
    `kd_keras.data.generated` gives them too, for a Distiller with `student_loss_weight=0`.

    Args:
        generator: A `keras.Model` from latents `(batch, ...)`, and class ids `(batch,)` where it
            is conditional, to images of the batch's shape.
        share: Probability that an example is replaced, in (0, 1].
        latent: Length of a latent vector, or its shape; read from a functional model if `None`.
        num_classes: Classes of a conditional generator; `None` for one that takes latents alone.
        keep_labels: Ask for the class of the image that is replaced, so that labels stay as they
            are. Right with `class_weight`, whose weights belong to the old labels. Without labels
            at hand, classes are drawn.
        generator_range: `(low, high)` of the generator's images; read from a tanh or sigmoid at
            its end if `None`.
        value_range: `(low, high)` of the batch's images; in a `Policy`, its `layer_range`.
        seed: Seed for use outside of a `Policy`; inside, the policy's seed rules.

    Raises:
        TypeError: If `generator` is no Keras model.
        ValueError: If an argument is out of range or contradicts the generator, its images are
            not of the batch's shape, or labels are none that a class can stand in for.

    Example:

    >>> import keras, tensorflow as tf
    >>> from kd_keras.augment import Generated
    >>> z, c = keras.Input((4,)), keras.Input((), dtype="int32")
    >>> h = keras.layers.Concatenate()([z, keras.layers.Embedding(10, 2)(c)])
    >>> h = keras.layers.Dense(64, activation="tanh")(h)
    >>> generator = keras.Model([z, c], keras.layers.Reshape((8, 8, 1))(h))
    >>> views = Generated(generator, num_classes=10, generator_range=(-1, 1))
    >>> batch = {"images": tf.zeros((6, 8, 8, 1), tf.uint8), "labels": tf.range(6)}
    >>> views(batch, step=3)["images"].dtype
    tf.uint8
    """

    def __init__(
        self,
        generator: Any,
        share: float = 0.5,
        latent: int | tuple[int, ...] | None = None,
        num_classes: int | None = None,
        keep_labels: bool = False,
        generator_range: tuple[float, float] | None = None,
        value_range: tuple[float, float] = (0, 255),
        seed: int = 0,
    ):
        super().__init__(seed)
        remedy = "For no generated image leave the layer out."
        self.share = float(check_number("share", share, above=0, high=1, remedy=remedy))
        self.keep_labels = bool(keep_labels)
        self._source = CheckedGenerator(
            generator, latent, num_classes, generator_range, value_range
        )

    def check_range(self, value_range: tuple[float, float]) -> None:
        if tuple(map(float, value_range)) != tuple(map(float, self._source.value_range)):
            raise ValueError(
                f"Generated makes images in value_range={self._source.value_range}, but the "
                f"policy's layers see images in {tuple(value_range)}. Received: it in `layers`. "
                f"Pass Generated(..., value_range={tuple(value_range)})."
            )

    def apply(self, views: Batch, draws: Draws) -> Batch:
        self._check(views)
        count = tf.shape(views.x)[0]
        is_replaced = draws.uniform((count,)) < self.share
        latents = draws.normal((count, *self._source.latent_shape))
        ids = self._class_ids(views.y, draws, count)
        index = tf.where(is_replaced)[:, 0]

        def with_generated() -> tf.Tensor:
            chosen = None if ids is None else tf.gather(ids, index)
            images = self._source.images(tf.gather(latents, index), chosen)
            return tf.tensor_scatter_nd_update(views.x, index[:, None], images)

        # A convolution need not take an empty batch.
        x = tf.cond(tf.size(index) > 0, with_generated, lambda: views.x)
        x = tf.ensure_shape(x, views.x.shape)
        if views.y is None or self.keep_labels:
            return views._replace(x=x)
        y = tf.convert_to_tensor(views.y)
        labels = _in_format_of(y, ids, self._source.num_classes)
        mask = tf.reshape(is_replaced, [-1] + [1] * (len(y.shape) - 1))
        return views._replace(x=x, y=tf.ensure_shape(tf.where(mask, labels, y), y.shape))

    def _class_ids(self, y: Any, draws: Draws, count: tf.Tensor) -> tf.Tensor | None:
        classes = self._source.num_classes
        if classes is None:
            return None
        if not self.keep_labels or y is None:
            return draws.uniform((count,), 0, classes, tf.int32)
        y = tf.convert_to_tensor(y)
        if _is_one_hot(y, classes):
            return tf.argmax(y, axis=-1, output_type=tf.int32)
        return tf.cast(tf.reshape(y, [-1]), tf.int32)

    def _check(self, views: Batch) -> None:
        if views.mix is not None:
            raise ValueError(
                "Generated met views that are mixed already, which have two labels each. Put it "
                "before MixUp or CutMix."
            )
        shape = self._source.image_shape
        if not views.x.shape[1:].is_compatible_with(shape):
            raise ValueError(
                f"Generated needs images of the shape that its generator makes, {tuple(shape)}. "
                f"Received: images of shape {tuple(views.x.shape)}. Resize either."
            )
        y, classes = views.y, self._source.num_classes
        if y is None:
            return
        if classes is None:
            raise ValueError(
                "Generated has a generator without classes, whose images have no label. Received: "
                "a batch with labels. Take a conditional generator and pass `num_classes`, or "
                "train on the teacher alone: student_loss_weight=0 and "
                "`dataset.map(lambda x, y: x)`, or kd_keras.data.generated(generator)."
            )
        # A NumPy array or a tensor; a dict or list of them has more labels than one class.
        nested = keras.tree.is_nested(y)
        ranked = not nested and len(tf.convert_to_tensor(y).shape)
        if nested or not (
            ranked == 1 or (ranked == 2 and (y.shape[-1] == 1 or _is_one_hot(y, classes)))
        ):
            raise ValueError(
                "Generated gives one class for each image: labels must be class ids (batch,) or "
                f"(batch, 1), or one-hot (batch, {classes}). Received: "
                + ("a structure of labels." if nested else f"labels of shape {tuple(y.shape)}.")
            )

    def get_config(self) -> dict[str, Any]:
        raise NotImplementedError(
            "Generated cannot be put into a config, which has no room for its generator's weights; "
            "build it anew from the generator's own .keras file."
        )

    def __repr__(self) -> str:
        return f"Generated({self._source.model.name!r}, share={self.share:g})"


def _is_one_hot(y: Any, classes: int | None) -> bool:
    return len(y.shape) == 2 and y.shape[-1] == classes


def _in_format_of(y: tf.Tensor, ids: tf.Tensor, classes: int | None) -> tf.Tensor:
    if _is_one_hot(y, classes):
        return tf.cast(tf.one_hot(ids, classes), y.dtype)
    return tf.cast(tf.reshape(ids, tf.shape(y)), y.dtype)
