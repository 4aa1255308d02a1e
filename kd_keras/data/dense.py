"""What sources of images with a class for every pixel share."""

from __future__ import annotations

import abc
import dataclasses

from kd_keras.data.source import Source

# The label of a pixel of which nothing is known: it is neither taught nor counted.
IGNORED = 255


@dataclasses.dataclass(frozen=True)
class DenseSource(Source):
    """Images, uint8, and label maps of the same height and width, int64 class ids or 255."""

    task = "segmentation"
    ignored_label = IGNORED

    @property
    @abc.abstractmethod
    def input_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of every image."""

    @property
    def input_dtype(self) -> str:
        return "uint8"

    @property
    def label_shape(self) -> tuple[int, int]:
        return self.input_shape[:2]
