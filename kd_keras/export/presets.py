"""The presets of quantisation: what each stores, what it needs, what runs it on a phone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast, get_args

Quantization = Literal["none", "float16", "dynamic", "weight_only", "int8", "int16x8"]


@dataclass(frozen=True)
class Preset:
    """What a preset does to a student.

    Attributes:
        weights: How weights are stored.
        arithmetic: What the kernels calculate in.
        runs_on: The processors and delegates of a phone that it is meant for.
        integer: Whether activations are integers, so that their ranges must be known.
        inputs: Dtypes that the file may take. A file that calculates in float takes uint8 by a cast
            inside, an integer file by its own scale.
        outputs: Dtypes that the file may give.
        least_runtime: A TensorFlow Lite that has all of the preset's kernels, where the converter
            does not know: it numbers operators on int16 activations (the last, such as ReLU, came
            in 2.5), and those that unpack weights by channel, like the older ones on int8.
    """

    weights: str
    arithmetic: str
    runs_on: str
    integer: bool = False
    inputs: tuple[str, ...] = ("float32", "uint8")
    outputs: tuple[str, ...] = ("float32",)
    least_runtime: str = "1.5.0"


PRESETS: dict[Quantization, Preset] = {
    "none": Preset("float32", "float32", "CPU (XNNPACK), GPU delegate"),
    "float16": Preset("float16", "float16 on the GPU, float32 elsewhere", "GPU delegate, CPU"),
    "dynamic": Preset("int8", "int8 products of float activations", "CPU (XNNPACK)"),
    "weight_only": Preset(
        "int8",
        "float32",
        "CPU (XNNPACK), where the size of the file counts",
        least_runtime="2.7.0",
    ),
    "int8": Preset(
        "int8, one scale a channel",
        "int8",
        "NPU and DSP delegates, CPU (XNNPACK), microcontrollers",
        integer=True,
        inputs=("float32", "uint8", "int8"),
        outputs=("float32", "uint8", "int8"),
    ),
    "int16x8": Preset(
        "int8, one scale a channel",
        "int16 activations",
        "DSPs with 16-bit activations; CPUs have slow kernels only",
        integer=True,
        inputs=("float32", "int16"),
        outputs=("float32", "int16"),
        least_runtime="2.5.0",
    ),
}


def check_quantization(quantization: str) -> Preset:
    """Return the preset of that name.

    Raises:
        ValueError: If there is none.
    """
    preset = PRESETS.get(cast(Quantization, quantization))
    if preset is None:
        raise ValueError(
            f"`quantization` must be one of {', '.join(map(repr, get_args(Quantization)))}. "
            f"Received: quantization={quantization!r}"
        )
    return preset


def minimum_runtime(noted: str | None, preset: Preset) -> str | None:
    """Return the later of what the converter noted in a file and what the preset's kernels need."""
    if noted is None:
        return None
    return max(noted, preset.least_runtime, key=lambda v: [int(part) for part in v.split(".")])


def check_border(
    quantization: Quantization, input_dtype: str | None, output_dtype: str | None
) -> None:
    """Raise unless a preset's file can take and give these dtypes; `None` is always possible."""
    preset = PRESETS[quantization]
    for argument, dtype, possible in (
        ("input_dtype", input_dtype, preset.inputs),
        ("output_dtype", output_dtype, preset.outputs),
    ):
        if dtype is not None and dtype not in possible:
            raise ValueError(
                f"`{argument}` must be one of {', '.join(map(repr, possible))} for "
                f"quantization={quantization!r}. Received: {argument}={dtype!r}"
            )
