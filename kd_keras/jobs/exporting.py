"""A student under every preset: files, model cards, and what each costs and keeps."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from kd_keras.folders import made_folder, refuse_links_out
from kd_keras.jobs.teacher import load_data
from kd_keras.json_text import read_json
from kd_keras.network_files import load_network, network_file
from kd_keras.quiet_start import starting
from kd_keras.report.environment import environment
from kd_keras.report.progress import progress_bar
from kd_keras.report.saying import say
from kd_keras.whole_file import write_whole

if TYPE_CHECKING:
    from kd_keras.export import Comparison, ExportResult, Latency, Ratio
    from kd_keras.export.presets import Quantization

# What the file of a preset is called, where not as the preset.
_CALLED = {"none": "float32"}
RESULTS = "exports.json"
PLOT = "pareto.svg"
# In `exports.json`: the files of the folder that were written by an export, whatever became of it.
_OURS = "kd_keras_exports"
_CALIBRATION_EXAMPLES = 500
_BATCH = 100
# The accuracy is of the whole test split; the outputs are compared on so many of it.
_VERIFICATION_EXAMPLES = 1000


@dataclasses.dataclass(frozen=True)
class ExportedFile:
    """A written file and what it is worth.

    Attributes:
        result: The conversion.
        accuracy: On the whole test split, in LiteRT, 0..1.
        agreement: Share of test images on which it says what the Keras student says, 0..1.
        latency: Of one image, one thread.
        ratio: Its latency to the float32 file's, taken in turns; None where that was not written.
        arena_bytes: Peak memory of the activations for one image, on TFLite's own kernels.
        card: Its model card.
    """

    result: ExportResult
    accuracy: float
    agreement: float
    latency: Latency
    ratio: Ratio | None
    arena_bytes: int
    card: Path


@dataclasses.dataclass(frozen=True)
class Exports:
    """All files of one call.

    Attributes:
        student: The `.keras` file.
        dataset: Name of the data.
        test_examples: How many test images the accuracies are of.
        keras_accuracy: The Keras student's own accuracy on them.
        files: The files, in the order in which they were asked for.
        folder: Where they are, with `exports.json` and, for several, the plot.
    """

    student: Path
    dataset: str
    test_examples: int
    keras_accuracy: float
    files: tuple[ExportedFile, ...]
    folder: Path


def export_presets(
    student: str | os.PathLike[str],
    dataset: str,
    output: str | os.PathLike[str],
    presets: Sequence[Quantization] = ("none", "int8"),
    *,
    data_dir: str | os.PathLike[str] | None = None,
    input_dtype: str | None = None,
    probabilities: bool = False,
    classes_output: str | None = None,
    batch_size: int | None = 1,
    min_agreement: float | None = 0.98,
    examples: int = _CALIBRATION_EXAMPLES,
    runs: int = 200,
    command: str = "",
    console: Console | None = None,
) -> Exports:
    """Write a trained student under several presets, and measure every file on the test split.

    Ranges are calibrated on images of the training split, evenly of all classes, without
    augmentation. Each file holds the names of the classes, and stands beside a model card. A plot
    shows accuracy against size and against latency.

    Args:
        student: A `.keras` file.
        dataset: What it was trained on, as `kd_keras.data.load` takes it.
        output: The folder to write to; made where missing.
        presets: As `kd_keras.export.to_tflite` takes them.
        data_dir: As `kd_keras.data.load` takes it.
        input_dtype: As `to_tflite` takes it, for the presets that can take it.
        probabilities: Whether the files end in a softmax.
        classes_output: The name of the output with the classes, where several could be meant.
        batch_size: The files' batch size; None leaves it open.
        min_agreement: Least share of the same answers as the student's, as `to_tflite` takes it.
        examples: How many training images set the ranges, >= 100.
        runs: Timed runs of each file, >= 1.
        command: What to type to make the files again, for the cards, which are handed on with them:
            without folders of this machine.
        console: Where progress goes; by default standard output.

    Returns:
        `Exports`.

    Raises:
        ValueError: If the student cannot be read or converted, or does not fit the data, or if a
            file of the same name as one of these is there that no export wrote.
        ConnectionError: If the data must be downloaded and cannot be.

    Example:

    ```python
    from kd_keras.jobs import export_presets

    exports = export_presets("student.keras", "digits", "exports", ["none", "int8"])
    exports.files[1].accuracy
    ```
    """
    console = console or Console()
    path = network_file(student, "student")
    with starting(console, "Starting TensorFlow and opening the data"):
        from kd_keras import export
        from kd_keras.export.presets import check_quantization
        from kd_keras.tasks import task_of

        asked = [check_quantization(preset) for preset in presets]
        # What bytes cannot be asked of keeps its float32.
        taken = [input_dtype if input_dtype in preset.inputs else None for preset in asked]
        network = load_network(path, "student")
        splits = load_data(
            dataset,
            network,
            data_dir,
            batch_size=_BATCH,
            seed=0,
            role="student",
            only_images=False,
        )
    folder = made_folder(output, "output", "Choose another with --output.")
    kinds = [_CALLED.get(preset, preset) for preset in presets]
    names = [f"{path.stem}_{kind}{end}" for kind in kinds for end in (".tflite", ".md")]
    ours = _claim(folder, [*names, *([PLOT] if len(presets) > 1 else [])])
    results: list[ExportResult] = []
    verified: list[tuple[float, Comparison]] = []
    for preset, border in zip(presets, taken, strict=True):
        what = _CALLED.get(preset, preset)
        with console.status(f"{what}: converting, and running it on the test split ..."):
            results.append(
                export.to_tflite(
                    network,
                    folder / f"{path.stem}_{what}.tflite",
                    preset,
                    representative_data=splits.training().take(splits.steps_per_epoch),
                    examples=examples,
                    verification_data=splits.test,
                    verification_examples=_VERIFICATION_EXAMPLES,
                    input_dtype=border,
                    probabilities=probabilities,
                    classes_output=classes_output,
                    batch_size=batch_size,
                    min_agreement=min_agreement,
                    **task_of(splits.info).export_arguments(splits.info),
                    name=f"{network.name} on {splits.info.title}",
                )
            )
            written = results[-1].path
            found = export.verify(
                written,
                splits.test,
                network,
                output=export.metadata.read(written).labelled_output,
            )
            if found.student is None:
                raise RuntimeError("`verify` was given the student and did not compare with it.")
            verified.append((found.accuracy, found.student))
        say(console, f"{results[-1].path.name}: {100 * found.accuracy:.2f} %")
    with progress_bar(console, f"Timing {len(results)} files in turns", 1) as show:
        standings = export.race(
            [result.path for result in results],
            runs=runs,
            progress=lambda done, total: show(done / total),
        )
    files = [
        ExportedFile(
            result=result,
            accuracy=accuracy,
            agreement=beside.agreement,
            latency=standing.latency,
            ratio=standing.ratio if presets[0] == "none" else None,
            arena_bytes=export.arena_bytes(result.path),
            card=result.path.with_suffix(".md"),
        )
        for result, (accuracy, beside), standing in zip(results, verified, standings, strict=True)
    ]
    exports = Exports(
        student=path,
        dataset=splits.info.title,
        test_examples=splits.info.test_examples,
        keras_accuracy=verified[0][1].accuracy,
        files=tuple(files),
        folder=folder,
    )
    _write(exports, command, ours)
    return exports


def _claim(folder: Path, names: Sequence[str]) -> list[str]:
    """Note which files are to be written, before any is, and return all that ever were.

    Raises:
        ValueError: If one of them is there and somebody else's.
    """
    refuse_links_out(folder, [*names, RESULTS])
    earlier: dict[str, Any] = {_OURS: []}
    try:
        if os.path.lexists(folder / RESULTS):
            earlier = read_json(folder / RESULTS)
        earlier[_OURS] = _noted(earlier)
        ours = sorted({*earlier[_OURS], *names})
    except (OSError, ValueError, LookupError, TypeError):
        raise _foreign(folder / RESULTS) from None
    for name in names:
        if os.path.lexists(folder / name) and name not in earlier[_OURS]:
            raise _foreign(folder / name)
    write_whole(folder / RESULTS, json.dumps({**earlier, _OURS: ours}, indent=2) + "\n")
    return ours


def _noted(earlier: Mapping[str, Any]) -> list[str]:
    """Return the files that an earlier call noted; before they had a place of their own, too."""
    if _OURS in earlier:
        return [str(name) for name in earlier[_OURS]]
    # Of the file's own fields: others may have something called "files" too.
    files = [str(each["file"]) for each in earlier["files"] if earlier["keras_accuracy"] >= 0]
    cards = [str(Path(file).with_suffix(".md")) for file in files]
    return [*files, *cards, *([PLOT] if len(files) > 1 else [])]


def _foreign(path: Path) -> ValueError:
    return ValueError(
        f"{str(path)!r} is no file that `kd-keras export` wrote, and is not overwritten. Move it "
        "away, or choose another folder with --output."
    )


def _write(exports: Exports, command: str, ours: list[str]) -> None:
    from kd_keras.export.model_card import model_card
    from kd_keras.report.pareto import Contender, pareto_plot

    for file in exports.files:
        card = model_card(
            file.result,
            title=f"{file.result.path.name}",
            figures={
                f"accuracy on the {exports.test_examples} test images of {exports.dataset}": (
                    f"{100 * file.accuracy:.2f} % (the Keras student: "
                    f"{100 * exports.keras_accuracy:.2f} %)"
                ),
                "same answer as the Keras student": f"{100 * file.agreement:.2f} %",
                "latency, one image, one thread, where it was exported": (
                    f"{file.latency.median_ms:.3f} ms (90th percentile {file.latency.p90_ms:.3f})"
                ),
                "peak memory of the activations": f"{file.arena_bytes:,} bytes",
            },
            command=command,
            environment=environment(),
        )
        write_whole(file.card, card)
    if len(exports.files) > 1:
        contenders = [
            Contender(
                file.result.quantization.replace("none", "float32"),
                file.result.bytes,
                file.latency.median_ms,
                file.accuracy,
            )
            for file in exports.files
        ]
        plot = pareto_plot(contenders, exports.keras_accuracy, exports.test_examples)
        write_whole(exports.folder / PLOT, plot)
    results = json.dumps({**as_dict(exports, command), _OURS: ours}, indent=2)
    write_whole(exports.folder / RESULTS, results + "\n")


def as_dict(exports: Exports, command: str) -> dict[str, Any]:
    """Return everything as JSON knows it."""
    return {
        "command": command,
        "student": exports.student.name,
        "dataset": exports.dataset,
        "test_examples": exports.test_examples,
        "keras_accuracy": exports.keras_accuracy,
        "environment": environment(),
        "files": [
            {
                "file": file.result.path.name,
                "preset": file.result.quantization,
                "bytes": file.result.bytes,
                "sha256": file.result.sha256,
                "accuracy": file.accuracy,
                "agreement": file.agreement,
                "largest_difference": file.result.largest_difference,
                "mean_difference": file.result.mean_difference,
                "float_operators": list(file.result.float_operators),
                "kept_float": list(file.result.kept_float),
                "stored_weights": dict(file.result.stored_weights),
                "runs_on": file.result.runs_on,
                "minimum_runtime_version": file.result.minimum_runtime_version,
                "median_ms": file.latency.median_ms,
                "p90_ms": file.latency.p90_ms,
                "latency_to_float32": None if file.ratio is None else file.ratio.median,
                "arena_bytes": file.arena_bytes,
            }
            for file in exports.files
        ],
    }
