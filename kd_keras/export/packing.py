"""The metadata that an export puts into its file: labels, and how pixels go in."""

from __future__ import annotations

from collections.abc import Sequence

from kd_keras.export import metadata
from kd_keras.export.endings import Ending
from kd_keras.export.student import StudentInputs


def packed(
    content: bytes,
    labels: Sequence[str] | None,
    name: str,
    main: Ending,
    input_range: tuple[float, float] | None,
    vocabulary: Sequence[str] | None,
    sample_rate: int | None,
) -> bytes:
    """Return a file with labels and normalisation or vocabulary in it; as it is without labels."""
    if labels is None:
        return content
    # What turns pixels 0..255 into what the student takes: for 0..255 nothing.
    low, high = input_range or (0.0, 255.0)
    std = 255.0 / (high - low)
    return metadata.pack(
        content,
        labels=labels,
        outputs=main.kind,
        labelled_output=main.classes,
        name=name,
        input_mean=-low * std,
        input_std=std,
        vocabulary=vocabulary,
        sample_rate=sample_rate,
    )


def check_normalisation(inputs: StudentInputs, input_range: tuple[float, float] | None) -> None:
    """Raise where the packed metadata would have to say how pixels go in, and nobody knows."""
    images = [
        spec
        for spec in inputs.specs.values()
        if spec.shape.rank == 4 and spec.shape[-1] in (1, 3) and spec.dtype.is_floating
    ]
    if images and input_range is None:
        raise ValueError(
            "`labels` packs what turns pixels 0..255 into the student's input, which "
            "input_range=None leaves unknown. Say input_range=(low, high); or, for another mean "
            "and deviation for each channel, leave `labels` out here and pass the file to "
            "kd_keras.export.metadata.pack with input_mean= and input_std=. "
            f"Received: labels with input_range=None for an input {tuple(images[0].shape)}"
        )
