"""What an augmentation takes and returns, and what every seeded augmentation of ours is."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from kd_keras.augment.annotations import ANNOTATIONS, annotated, as_given
from kd_keras.training.batch import Batch

_KEYS = ("images", "labels", "sample_weight", *ANNOTATIONS)


class Augmentation(abc.ABC):
    """A seeded, stateless augmentation: the views depend on (seed, step, position) alone."""

    # Whether `augment` moves what `Batch.spatial` speaks of with the images, or refuses to.
    minds_annotations = False

    @abc.abstractmethod
    def augment(self, views: Batch, step: Any) -> Batch:
        """Return the views of one batch at one step.

        Args:
            views: The batch; under a distribution strategy, this replica's part of it.
            step: Count of the steps so far, an integer or an int64 scalar tensor.
        """

    # In `fit` nothing of it is converted either; in `dataset.map` it would take seconds to convert.
    @tf.autograph.experimental.do_not_convert
    def __call__(
        self,
        inputs: Any,
        training: bool = True,
        step: Any = 0,
        outside: int | None = None,
        bounding_box_format: str | None = None,
    ) -> Any:
        """Return `inputs` augmented, in the form in which they came.

        Nothing is counted between calls: the same `step` gives the same views. In a `tf.data`
        pipeline, take the step from `dataset.enumerate()`.

        Args:
            inputs: Images `(batch, height, width, channels)`, or a dict with `"images"` and, where
                wanted, `"labels"`, `"sample_weight"`, `"segmentation_masks"` of shape `(batch,
                height, width)` or with classes as a fourth axis, `"bounding_boxes"`, a dict of
                keras-cv's, and `"keypoints"` of shape `(batch, points, 2)`, (x, y) in pixels, or
                with visibility as a third number. They follow the layers that move pixels.
            training: Whether to augment; with `False` the inputs come back as they are.
            step: Which views to draw, an integer or an integer scalar tensor.
            outside: What masks say of pixels from outside of the picture, which a layer with
                `fill_mode="constant"` shows. Needed there for masks of whole numbers; masks of
                floats have 0.
            bounding_box_format: Of the boxes, by keras-cv's name; layers that were given one need
                none here.

        Returns:
            Images, or a dict. A mixing augmentation adds `"second_labels"`, `"share"` and, where
            there are, `"second_sample_weight"` and `"second_segmentation_masks"` to the dict.

        Raises:
            ValueError: If the dict has other keys, or a layer cannot move the annotations.
        """
        if not training:
            return inputs
        if not isinstance(inputs, dict):
            views = self.augment(Batch(tf.convert_to_tensor(inputs)), step)
            return views.x
        unknown = sorted(set(inputs) - set(_KEYS))
        if "images" not in inputs or unknown:
            raise ValueError(
                f"`inputs` must be images, or a dict with 'images' and optionally {_KEYS[1:]}. "
                f"Received: a dict with keys {sorted(inputs)}. Leave the others out."
            )
        has_annotations = not inputs.keys().isdisjoint(ANNOTATIONS)
        if has_annotations and not self.minds_annotations:
            raise ValueError(
                f"{type(self).__name__} does not move annotations with the images. Received: a "
                f"dict with keys {sorted(inputs)}. Use a kd_keras.augment.Policy."
            )
        if has_annotations:
            views = self.augment(annotated(inputs, outside, bounding_box_format), step)
        else:
            images = tf.convert_to_tensor(inputs["images"])
            views = self.augment(
                Batch(images, inputs.get("labels"), inputs.get("sample_weight")), step
            )

        def by_name(y: Any, weight: Any) -> dict[str, Any]:
            labels = as_given(y, inputs) if has_annotations else {"labels": y}
            labels = {**labels, "sample_weight": weight}
            return {key: value for key, value in labels.items() if key in inputs}

        outputs = {"images": views.x, **by_name(views.y, views.weight)}
        if views.mix is not None:
            outputs["share"] = views.mix.lam
            second = by_name(views.mix.y, views.mix.weight)
            outputs.update({f"second_{key}": value for key, value in second.items()})
        return outputs

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """Return the augmentation of a configuration, whose layers are made again."""
        return cls(**keras.saving.deserialize_keras_object(config))


class TeacherGuided(Augmentation):
    """An augmentation that asks the teacher about its views; a `kd_keras.Distiller` can run it."""

    @abc.abstractmethod
    def augment_with(self, views: Batch, step: Any, teacher: Callable[[Any], Any]) -> Batch:
        """Return the views of one batch at one step.

        Args:
            views: As for `augment`.
            step: As for `augment`.
            teacher: Returns the teacher's outputs for inputs of the model.
        """

    def augment(self, views: Batch, step: Any) -> Batch:
        raise ValueError(
            f"{self!r} asks a teacher about its views, and there is none here. Pass it to "
            "`kd_keras.Distiller(..., augmentation=...)`, or call "
            "`augment_with(views, step, teacher)`."
        )


class Adaptive(Augmentation):
    """An augmentation that learns from the gap between teacher and student on its views.

    Its `augment` says in `Batch.extras` what each view went through, and the Distiller hands that
    back together with what came of it.
    """

    # The names of its transforms, and the weights that it learns: a built Keras layer, which the
    # Distiller saves and restores with its own weights.
    names: tuple[str, ...]
    state: keras.layers.Layer

    @abc.abstractmethod
    def probabilities(self) -> tf.Tensor:
        """Return the present probability of each transform, `(transforms,)` float32."""

    @abc.abstractmethod
    def observe(self, choice: tf.Tensor, gaps: tf.Tensor) -> None:
        """Learn from one batch; in replica context, where all replicas learn the same.

        Args:
            choice: Which transform each view went through, `(batch,)` int32.
            gaps: `(batch,)` float32, how far the student is from the teacher on each view, >= 0.
        """
