"""Write a student as a `.tflite` file that was run against the student before it got its name."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from kd_keras import memory_errors
from kd_keras.arguments import check_integer, check_number, check_range
from kd_keras.export import metadata
from kd_keras.export.attempt import Attempt
from kd_keras.export.compiled import check_compiled
from kd_keras.export.conversion import convert
from kd_keras.export.endings import ending
from kd_keras.export.examples import (
    ENOUGH_TO_CALIBRATE,
    Examples,
    gather,
    random_examples,
    warn_if_few,
    with_ends,
)
from kd_keras.export.fake_quantization import check_steps, check_trained_ranges
from kd_keras.export.judging import Bar, warn_of_float
from kd_keras.export.loops import has_loop
from kd_keras.export.operations import stored_weights
from kd_keras.export.packing import check_normalisation, packed
from kd_keras.export.plain import PlainModel
from kd_keras.export.presets import Quantization, check_border, check_quantization, minimum_runtime
from kd_keras.export.result import ExportResult
from kd_keras.export.runtime import LiteModel
from kd_keras.export.signature import all_signatures
from kd_keras.export.student import (
    StudentInputs,
    check_student,
    computing_in_float32,
    student_inputs,
    unrolled,
)
from kd_keras.export.verification import keras_outputs
from kd_keras.whole_file import written_beside

_RANDOM_EXAMPLES = 32


def to_tflite(
    student: keras.Model,
    path: str | os.PathLike[str],
    quantization: Quantization = "none",
    representative_data: Any = None,
    *,
    verification_data: Any = None,
    examples: int = 500,
    verification_examples: int | None = None,
    class_balanced: bool = True,
    min_agreement: float | None = 0.98,
    input_range: tuple[float, float] | None = (0.0, 255.0),
    batch_size: int | None = 1,
    input_dtype: str | None = None,
    output_dtype: str | None = None,
    probabilities: bool = False,
    classes_output: str | None = None,
    signatures: Mapping[str, Callable[..., Any]] | None = None,
    labels: Sequence[str] | None = None,
    name: str | None = None,
    vocabulary: Sequence[str] | None = None,
    sample_rate: int | None = None,
) -> ExportResult:
    """Convert a Keras student to TensorFlow Lite, run the file on LiteRT, and say how close it is.

    The file uses builtin TFLite ops only, so it needs no Flex delegate. It takes the student's raw
    input and gives float32 outputs under every preset, unless another dtype is asked for. Inputs
    and outputs keep the names that the student's author gave. The file appears under `path` after
    it was verified: on any failure, an earlier file of that name stays as it was.

    Args:
        student: A built functional, sequential or subclassed model. Inputs and outputs may be
            tensors, or lists or dicts of them; each output is verified. A student under a mixed
            policy is converted, and compared, in float32.
        path: The file to write, in an existing folder.
        quantization: "none" (float32), "float16" (weights at half the size, for the GPU delegate),
            "dynamic" (int8 weights, float activations), "weight_only" (int8 weights, float32
            arithmetic; needs the extra `weight-only`), "int8" (int8 weights and activations, for
            CPU, DSP and NPU) or "int16x8" (int8 weights, int16 activations).
        representative_data: For "int8" and "int16x8", the images that set the ranges of the
            activations: an array `(examples, ...)` or a `tf.data.Dataset` of batches x or (x, y),
            of unaugmented training images. For several inputs, x is a dict by their names or a
            tuple in their order. A student with trained ranges (`kd_keras.quantize`) needs none,
            and none set its ranges.
        verification_data: The images to verify on, in the same forms. Default: the representative
            data, and where there are none, 32 random images in `input_range`.
        examples: How many representative images to take at most, >= 1; >= 100 for "int8" and
            "int16x8".
        verification_examples: How many images to verify on at most; None for as many as `examples`.
        class_balanced: Take the representative images evenly from all classes, where the data yield
            labels. False takes the first ones.
        min_agreement: Least share of the verification data, 0..1, on which a quantised file must
            have the same largest class as the student; one example may always differ. Other
            outputs must not be off by more than a quarter of their variation in the mean, those of
            "float16" by a twentieth. Where an int8 or dynamic file misses it, as few of its first
            operators as suffice stay in float32, with a warning; where that is not enough, it is an
            error. On random images it is a warning only. None keeps whatever comes out.
        input_range: Lowest and highest raw value that the student takes. Data outside it, or in
            0..1 where it ends above 1, are refused; the integer scale of the input is exactly that
            of the range. None switches both off. Students of several inputs are not checked.
        batch_size: The file's batch size: 1 for apps. None leaves it open (the Interpreter then
            starts at 1 and can be resized), which LiteRT's CompiledModel and recurrent layers do
            not always stand. A student whose input fixes its own keeps that.
        input_dtype: What the file takes: "float32" (the default), or "uint8" (the bytes of a camera
            frame) under all presets but "int16x8"; "int8" for "int8", "int16" for "int16x8".
        output_dtype: What the file gives: "float32" (the default); "uint8" or "int8" for "int8",
            "int16" for "int16x8".
        probabilities: Let the classes leave as probabilities: a softmax (a sigmoid for a single
            unit) over the student's logits. Nothing is put behind a student that ends in one.
        classes_output: The name of the output with the classes, for `probabilities` and `labels`,
            where a student has several that could be meant.
        signatures: Further entry points of the file by name: models or functions of the student's
            inputs, such as a `keras.Model(student.inputs, features)`. `LiteModel(path,
            signature=name)` runs one.
        labels: The names of the classes, to pack into the file together with its normalisation, see
            `kd_keras.export.metadata`. None packs nothing.
        name: What the packed metadata call the model; the student's name by default.
        vocabulary: For a student that takes ids of words: the words of the ids 2, 3, ..., to pack
            into the file beside the labels, see `kd_keras.vocabulary.Vocabulary`.
        sample_rate: What the packed metadata say of a student of recordings: samples in a second.

    Returns:
        `ExportResult` with the path, size, SHA-256, largest and mean difference from the Keras
        student, and top-1 agreement with it.

    Raises:
        TypeError: If `student` is no Keras model, or the data are neither an array nor a dataset.
        ValueError: If the student is not built, uses an op without a builtin kernel (the error
            lists them), the folder cannot be written, the data are missing, empty or of the wrong
            shape or range, or the file does not calculate what the student does.

    Example:

    >>> import keras, kd_keras, numpy as np
    >>> student = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(),
    ...                             keras.layers.Dense(10)])
    >>> images = np.random.default_rng(0).integers(0, 256, (100, 8, 8, 1), dtype="uint8")
    >>> result = kd_keras.export.to_tflite(student, "student.tflite", "int8", images)
    >>> result.path.stat().st_size == result.bytes
    True

    Reference: Jacob et al., "Quantization and Training of Neural Networks for Efficient
    Integer-Arithmetic-Only Inference", CVPR 2018, arXiv:1712.05877.
    """
    check_student(student)
    preset = check_quantization(quantization)
    check_border(quantization, input_dtype, output_dtype)
    check_integer("examples", examples, ENOUGH_TO_CALIBRATE if preset.integer else 1)
    for argument, count in (
        ("verification_examples", verification_examples),
        ("batch_size", batch_size),
    ):
        if count is not None:
            check_integer(argument, count, 1)
    if input_range is not None:
        input_range = check_range("input_range", input_range)
    if min_agreement is not None:
        check_number(
            "min_agreement", min_agreement, low=0, high=1, remedy="It is a share, such as 0.98."
        )
    inputs = student_inputs(student, batch_size)
    if input_dtype is not None:
        _check_cast(inputs, input_dtype)
    specs = inputs.specs
    if labels is not None:
        check_normalisation(inputs, input_range)
    elif vocabulary is not None:
        raise ValueError(
            "`vocabulary` is packed beside the names of the classes: say labels=[...] too. "
            "Received: a vocabulary with labels=None"
        )
    offered = all_signatures(student, inputs, signatures, None if preset.integer else input_dtype)
    is_trained = check_trained_ranges(student, offered[0], quantization)
    if preset.integer and representative_data is None and not is_trained:
        raise ValueError(
            f"quantization={quantization!r} needs `representative_data`, a few hundred unaugmented "
            "training images that set the ranges of the activations. For int8 weights without data "
            "choose quantization='dynamic'. Received: representative_data=None"
        )
    asked = f"{examples} examples of shapes {[tuple(spec.shape[1:]) for spec in specs.values()]}"
    with memory_errors.told(asked, "Lower `examples`."), written_beside(path) as beside:
        representative: Examples | None = None
        is_random = False
        if representative_data is not None:
            representative = gather(
                representative_data,
                "representative_data",
                specs,
                input_range,
                examples,
                classes=_classes(student) if class_balanced else None,
            )
        if verification_data is not None:
            verified = gather(
                verification_data,
                "verification_data",
                specs,
                input_range,
                verification_examples or examples,
            )
        elif representative is not None:
            count = verification_examples or examples
            verified = {name: values[:count] for name, values in representative.items()}
        else:
            is_random = True
            verified = random_examples(specs, input_range, _RANDOM_EXAMPLES)
        if preset.integer and representative is not None and not is_trained:
            warn_if_few(_length(representative))
            representative = with_ends(representative, input_range)
        with computing_in_float32(student):
            expected = [(each, keras_outputs(each, verified)) for each in offered]
            main = ending(
                *expected[0],
                probabilities=probabilities,
                classes_output=classes_output,
                labels=labels,
            )
            expected[0] = main.signature, main.expected
            bar = Bar(
                quantization,
                main.classes,
                None if is_trained else min_agreement,
                _length(verified),
            )
            attempt = Attempt(
                beside,
                expected,
                verified,
                bar,
                lambda content: packed(
                    content,
                    labels,
                    name or student.name,
                    main,
                    input_range,
                    vocabulary,
                    sample_rate,
                ),
            )
            looping = preset.integer and not is_trained
            with unrolled(student) if looping else contextlib.nullcontext():
                loops = looping and any(has_loop(each) for each, _ in expected)
                content = convert(
                    student,
                    [each for each, _ in expected],
                    quantization,
                    None if is_trained else representative,
                    input_dtype=input_dtype if preset.integer else None,
                    output_dtype=output_dtype if preset.integer else None,
                    loops=loops,
                )
                outputs, kept = attempt.settled(
                    student,
                    content,
                    representative,
                    is_random=is_random,
                    in_float=not preset.integer
                    or (not loops and {input_dtype, output_dtype} <= {None, "float32"}),
                )
        model = LiteModel(beside)
        if is_trained:
            check_steps(model, outputs, verified)
        check_compiled(model, verified)
        float_operators = model.float_operators()
        weights = stored_weights(PlainModel(model.content, beside))
        size, digest = beside.stat().st_size, hashlib.sha256(beside.read_bytes()).hexdigest()
        noted = metadata.read(beside).minimum_runtime_version
    if preset.integer and not kept:
        warn_of_float(quantization, float_operators)
    return ExportResult(
        path=Path(path),
        quantization=quantization,
        bytes=size,
        sha256=digest,
        examples=_length(verified),
        outputs=outputs,
        float_operators=float_operators,
        runs_on=preset.runs_on,
        minimum_runtime_version=minimum_runtime(noted, preset),
        kept_float=kept,
        stored_weights=weights,
    )


def _length(examples: Examples) -> int:
    return len(next(iter(examples.values())))


def _classes(student: keras.Model) -> int | None:
    """Return how many classes a student of one class output has."""
    shape = getattr(student, "output_shape", None) if getattr(student, "outputs", None) else None
    if isinstance(shape, tuple) and len(shape) == 2 and isinstance(shape[-1], int):
        return shape[-1] if shape[-1] > 1 else None
    return None


def _check_cast(inputs: StudentInputs, input_dtype: str) -> None:
    for name, spec in inputs.specs.items():
        if spec.dtype.is_integer and spec.dtype.name != input_dtype:
            raise ValueError(
                f"`input_dtype` must be {spec.dtype.name!r} or None for this student, whose input "
                f"{name!r} is of that dtype itself. Received: input_dtype={input_dtype!r}"
            )
