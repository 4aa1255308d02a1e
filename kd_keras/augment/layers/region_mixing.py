"""What CutMix and FMix share: every pixel is of one example or of the other."""

from __future__ import annotations

from kd_keras.augment.layers.mixing import Mixing
from kd_keras.augment.places import leaves
from kd_keras.training.batch import Batch


class RegionMixing(Mixing):
    """Mixing by regions of an image, for which one label an image is needed, or one a pixel.

    Args:
        alpha: Both parameters of the Beta distribution of the share, > 0.
        seed: Seed for use outside of a `Policy`; inside, the policy's seed rules.
    """

    def check(self, views: Batch) -> None:
        super().check(views)
        name = type(self).__name__
        if len(views.x.shape) != 4:
            raise ValueError(
                f"{name} needs images of shape (batch, height, width, channels). Received: shape "
                f"{tuple(views.x.shape)}. Use MixUp for other inputs."
            )
        maps = {part.path for part in views.spatial or () if part.of == "y"}
        for path, label in leaves(views.y):
            if path not in maps and len(getattr(label, "shape", ())) >= 3:
                raise ValueError(
                    f"{name} needs one label for each image. Received: dense labels of shape "
                    f"{tuple(label.shape)}, for which no single share is right. In `fit` label "
                    "maps of the size of the images are pasted; called on a dict, those under "
                    "'segmentation_masks'. Or use kd_keras.augment.MixUp, whose share holds at "
                    "every pixel."
                )
