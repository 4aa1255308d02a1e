"""What an augmentation takes and returns, and what every seeded augmentation of ours is."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from kd_keras.training.batch import Batch

_ANNOTATIONS = ("segmentation_masks", "bounding_boxes")
_KEYS = ("images", "labels", "sample_weight", *_ANNOTATIONS)


class Augmentation(abc.ABC):
    """A seeded, stateless augmentation: the views depend on (seed, step, position) alone."""

    # Whether `augment` moves `Batch.spatial` with the images, or refuses to.
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
    def __call__(self, inputs: Any, training: bool = True, step: Any = 0) -> Any:
        """Return `inputs` augmented, in the form in which they came.

        Nothing is counted between calls: the same `step` gives the same views. In a `tf.data`
        pipeline, take the step from `dataset.enumerate()`.

        Args:
            inputs: Images `(batch, height, width, channels)`, or a dict with `"images"` and, where
                wanted, `"labels"`, `"sample_weight"`, `"segmentation_masks"` of shape `(batch,
                height, width)` or with classes as a fourth axis, and `"bounding_boxes"`, a dict of
                keras-cv's. Masks and boxes follow the layers that move pixels.
            training: Whether to augment; with `False` the inputs come back as they are.
            step: Which views to draw, an integer or an integer scalar tensor.

        Returns:
            Images, or a dict. A mixing augmentation adds `"second_labels"`, `"share"` and, where
            there are weights, `"second_sample_weight"` to the dict.

        Raises:
            ValueError: If the dict has other keys, or a layer cannot move the masks or boxes.
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
                f"Received: a dict with keys {sorted(inputs)}. Keypoints are not moved with the "
                "images."
            )
        if not self.minds_annotations and not inputs.keys().isdisjoint(_ANNOTATIONS):
            raise ValueError(
                f"{type(self).__name__} does not move masks and boxes with the images. Received: a "
                f"dict with keys {sorted(inputs)}. Use a kd_keras.augment.Policy."
            )
        annotations = {key: inputs[key] for key in _ANNOTATIONS if key in inputs}
        views = self.augment(
            Batch(
                tf.convert_to_tensor(inputs["images"]),
                inputs.get("labels"),
                inputs.get("sample_weight"),
                spatial=annotations or None,
            ),
            step,
        )
        outputs = {"images": views.x, "labels": views.y, "sample_weight": views.weight}
        outputs.update(views.spatial or {})
        outputs = {key: value for key, value in outputs.items() if key in inputs}
        if views.mix is not None:
            outputs["share"] = views.mix.lam
            if "labels" in inputs:
                outputs["second_labels"] = views.mix.y
            if "sample_weight" in inputs:
                outputs["second_sample_weight"] = views.mix.weight
        return outputs


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
