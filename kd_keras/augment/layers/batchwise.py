"""The base of our keras-cv layers: a `BaseImageAugmentationLayer` without a loop over images."""

from __future__ import annotations

from typing import Any

import keras_cv
import tensorflow as tf

from kd_keras.arguments import check_seed, saved_arguments
from kd_keras.augment.global_generator import ensure_global_generator


class BatchwiseImageLayer(keras_cv.layers.BaseImageAugmentationLayer):
    """A keras-cv layer that draws for, and transforms, a whole batch at once.

    keras-cv calls `augment_image` for one image at a time, which costs milliseconds a batch. A
    subclass here writes `draw` and `transform` for a batch; a single image is a batch of one.

    Args:
        seed: Seed of the layer's own generator, used outside of a `Policy`.
        **kwargs: Arguments of `keras.layers.Layer`.
    """

    # Whether no pixel is moved, so that labels per pixel, masks and boxes stay right.
    keeps_positions = False
    saved_arguments: tuple[str, ...] = ("seed",)

    def __init__(self, seed: int | None = None, **kwargs: Any):
        ensure_global_generator()
        self.seed = None if seed is None else check_seed(seed)
        super().__init__(seed=self.seed, **kwargs)

    def draw(self, images: tf.Tensor) -> Any:
        """Return the random numbers for `images`, first axis the batch."""
        raise NotImplementedError

    def transform(self, images: tf.Tensor, drawn: Any) -> tf.Tensor:
        """Return `images` transformed by what `draw` returned."""
        raise NotImplementedError

    def get_random_transformation(self, image: Any = None, **kwargs: Any) -> Any:
        return self.draw(image[tf.newaxis])

    def augment_image(self, image: tf.Tensor, transformation: Any, **kwargs: Any) -> tf.Tensor:
        return self.transform(image[tf.newaxis], transformation)[0]

    def augment_label(self, label: Any, transformation: Any = None, **kwargs: Any) -> Any:
        return label

    def move_masks(self, masks: tf.Tensor, drawn: Any) -> tf.Tensor:
        """Return segmentation masks of a batch moved like the images, by the same `drawn`."""
        raise NotImplementedError(f"{type(self).__name__} does not move segmentation masks.")

    def _batch_augment(self, inputs: dict[str, Any]) -> dict[str, Any]:
        images = inputs["images"]
        drawn = self.draw(images)
        outputs = {**inputs, "images": self.transform(images, drawn)}
        if self.keeps_positions:
            return outputs
        if "segmentation_masks" in inputs:
            outputs["segmentation_masks"] = self.move_masks(inputs["segmentation_masks"], drawn)
        if "bounding_boxes" in inputs or "keypoints" in inputs:
            raise NotImplementedError(f"{type(self).__name__} moves neither boxes nor keypoints.")
        return outputs

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **saved_arguments(self)}
