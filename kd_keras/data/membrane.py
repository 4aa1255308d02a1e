"""`membrane`: the microscope images of ISBI 2012 and where their cell membranes are."""

from __future__ import annotations

from pathlib import Path

from kd_keras.data.mask_files import IMAGES, MASKS
from kd_keras.data.masks import MaskFolderSource, is_folder_of_masks, open_masks

_CLASSES = ("membrane", "cell")


def open_membrane(data_dir: Path | None, tile: tuple[int, int] | None) -> MaskFolderSource:
    """Return 30 images of 512x512 pixels with their masks: 24, 3 and 3 by name, cut into tiles.

    Arganda-Carreras et al., "Crowdsourcing the creation of image segmentation algorithms for
    connectomics", Frontiers in Neuroanatomy 9, 2015.

    Args:
        data_dir: The folder of the images and masks, or the one in which it is called "membrane".
        tile: (height, width) of the tiles, or None for whole images.

    Raises:
        ValueError: If it is not there, and as `open_masks`.
    """
    places = [] if data_dir is None else [data_dir / "membrane", data_dir]
    folder = next((place for place in places if is_folder_of_masks(place)), None)
    if folder is None:
        raise ValueError(
            "`data_dir` must be the folder of the ISBI 2012 images, which this package does not "
            f"bring: {IMAGES}/*.png and {MASKS}/*.png of the same names, 0 for membrane and 255 "
            f"for cell. Received: data_dir={data_dir and str(data_dir)!r}. Without "
            "them: 'blobs' is generated (kd-keras distill membrane --smoke takes it)."
        )
    return open_masks(folder, tile, _CLASSES)
