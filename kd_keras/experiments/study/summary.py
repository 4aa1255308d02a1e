"""What the cells in a study's folder say together: treatments, effects, costs, curves."""

from __future__ import annotations

import dataclasses
import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kd_keras.archives import arrays_in
from kd_keras.experiments.study.folder import (
    PREDICTIONS,
    RESULT,
    StudyFolder,
    damaged_cell,
    read_result,
)
from kd_keras.experiments.study.grid import PICK, Cell, Treatment
from kd_keras.experiments.study.statistics import (
    Estimate,
    hierarchical_bootstrap,
    interaction,
    mean_and_deviation,
)
from kd_keras.portable import portable
from kd_keras.recipes.recipe import FEEDBACK, UNIFORM
from kd_keras.recipes.stage import network_title

_FORMAT = 1
_NEITHER = Treatment("none", "none", "")
# What treatments are compared for, in the order in which a table shows it.
EFFECTS = ("interaction", "distillation", "augmentation", "over kl", "picking", "feedback")


@dataclasses.dataclass(frozen=True)
class Spread:
    """A measure over the seeds of a treatment.

    Attributes:
        mean: The mean.
        deviation: The sample standard deviation; `None` for a single seed.
    """

    mean: float
    deviation: float | None


@dataclasses.dataclass(frozen=True)
class TreatmentResult:
    """All seeds of one treatment.

    Attributes:
        treatment: What was done.
        seeds: Which seeds are finished.
        measures: By name: accuracy, ece, ..., over the seeds.
        accuracy: The mean accuracy with its interval over seeds and test images.
        cost: By name: training_seconds, teacher_calls, ..., the means.
        curve: Mean validation accuracy after each epoch.
        feedback: What a feedback policy logged, by name, the mean after each epoch.
    """

    treatment: Treatment
    seeds: tuple[int, ...]
    measures: Mapping[str, Spread]
    accuracy: Estimate
    cost: Mapping[str, float]
    curve: Sequence[float]
    feedback: Mapping[str, Sequence[float]]


@dataclasses.dataclass(frozen=True)
class Effect:
    """A difference of accuracy between treatments, over the seeds that all of them have.

    Attributes:
        kind: One of `EFFECTS`. "over kl" is a distillation less the softened KL divergence,
            "picking" a policy whose views the teacher picks less that policy, and "feedback" the
            policy that follows the gap less the one that does not.
        treatment: The treatment with both factors, or with the one in question.
        estimate: In shares of 1, with its interval.
    """

    kind: str
    treatment: Treatment
    estimate: Estimate


@dataclasses.dataclass(frozen=True)
class Summary:
    """A study in numbers; JSON in, JSON out.

    Attributes:
        title: What was studied.
        commands: The commands that filled the folder.
        recipe: What all cells share: names to JSON values.
        treatments: The results of all finished treatments.
        effects: What treatments do that others do not, where the cells of both are there.
        missing: Names of the cells that were asked for and are not finished.
        robustness_examples: Test images behind the attacks and each corrupted test set.
        environment: Names and versions of what it ran on.
    """

    title: str
    commands: Sequence[str]
    recipe: Mapping[str, Any]
    treatments: Sequence[TreatmentResult]
    effects: Sequence[Effect]
    missing: Sequence[str]
    robustness_examples: int
    environment: Mapping[str, str]

    def to_json(self) -> str:
        """Return the summary as JSON text."""
        return json.dumps({"format": _FORMAT, **dataclasses.asdict(self)}, indent=2) + "\n"


def summarise(
    folder: StudyFolder, wanted: Sequence[Cell], environment: Mapping[str, str]
) -> Summary:
    """Return the summary of all finished cells in a folder.

    Args:
        folder: The folder.
        wanted: The cells that were asked for.
        environment: Names and versions to note.

    Raises:
        ValueError: If no cell is finished.
    """
    cells = folder.finished()
    if not cells:
        raise ValueError(
            f"No cell of the study in {str(folder.path)!r} is finished, so there is nothing to "
            "report. Run it without --report-only."
        )
    results = {cell: read_result(folder.cell(cell) / RESULT) for cell in cells}
    correct = {cell: _correct(folder, cell) for cell in cells}
    by_treatment: dict[Treatment, list[Cell]] = {}
    for cell in sorted(cells, key=_reading_order):
        by_treatment.setdefault(cell.treatment, []).append(cell)
    baseline = [results[cell]["corruption_errors"] for cell in by_treatment.get(_NEITHER, [])]
    baseline = [errors for errors in baseline if errors]
    recipe = folder.recipe
    return Summary(
        title=f"{portable(recipe.dataset)}: {network_title(recipe.teacher)} teaches "
        f"{network_title(recipe.student)}",
        commands=folder.commands(),
        recipe=recipe.portable().to_dict(),
        treatments=tuple(
            _result(treatment, [results[cell] for cell in group], baseline, correct)
            for treatment, group in by_treatment.items()
        ),
        effects=tuple(_effects(by_treatment, correct)),
        missing=tuple(cell.name for cell in wanted if cell not in results),
        robustness_examples=min(result["robustness_examples"] for result in results.values()),
        environment=environment,
    )


def _reading_order(cell: Cell) -> tuple[Any, ...]:
    """Return a key that brings what is without distillation or augmentation before what has it."""
    treatment = cell.treatment
    return (
        treatment.distillation != "none",
        treatment.distillation,
        treatment.teacher_augmentation,
        treatment.augmentation != "none",
        treatment.augmentation,
        cell.seed,
    )


def _correct(folder: StudyFolder, cell: Cell) -> np.ndarray:
    path = folder.cell(cell) / PREDICTIONS
    try:
        with arrays_in(path) as arrays:
            return arrays["logits"].argmax(axis=-1) == arrays["labels"]
    except (OSError, ValueError, LookupError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise damaged_cell(path, error) from error


def _result(
    treatment: Treatment,
    results: Sequence[Mapping[str, Any]],
    baseline: Sequence[Mapping[str, Sequence[float]]],
    correct: Mapping[Cell, np.ndarray],
) -> TreatmentResult:
    measures = {
        name: Spread(*mean_and_deviation([result["measures"][name] for result in results]))
        for name in results[0]["measures"]
        # Measured for some seeds only, it would be the mean of those.
        if all(name in result["measures"] for result in results)
    }
    if baseline and all(result["corruption_errors"] for result in results):
        measures["mce"] = Spread(*mean_and_deviation(_relative_errors(results, baseline)))
    return TreatmentResult(
        treatment=treatment,
        seeds=tuple(result["cell"]["seed"] for result in results),
        measures=measures,
        accuracy=hierarchical_bootstrap(
            np.stack([correct[Cell(**result["cell"])] for result in results])
        ),
        cost={
            name: float(np.mean([result["cost"][name] for result in results]))
            for name in results[0]["cost"]
        },
        curve=_mean_curve([result["validation_curve"] for result in results]),
        feedback={
            name: _mean_curve([result["feedback"][name] for result in results])
            for name in results[0]["feedback"]
        },
    )


def _relative_errors(
    results: Sequence[Mapping[str, Any]], baseline: Sequence[Mapping[str, Sequence[float]]]
) -> list[float]:
    """Return each seed's mCE against the mean of the students with neither factor."""
    from kd_keras.evaluate.corruptions import mean_corruption_error

    mean = {name: np.mean([errors[name] for errors in baseline], axis=0) for name in baseline[0]}
    return [mean_corruption_error(result["corruption_errors"], mean) for result in results]


def _mean_curve(curves: Sequence[Sequence[float]]) -> list[float]:
    return [float(value) for value in np.mean(curves, axis=0)]


def _effects(
    by_treatment: Mapping[Treatment, Sequence[Cell]], correct: Mapping[Cell, np.ndarray]
) -> list[Effect]:
    """Return every effect whose cells are there, each over the seeds that its cells share."""

    def estimate(treatments: Sequence[Treatment], combine: Any) -> Estimate | None:
        if any(treatment not in by_treatment for treatment in treatments):
            return None
        of_seed = [{cell.seed: correct[cell] for cell in by_treatment[t]} for t in treatments]
        shared = sorted(set.intersection(*(set(seeds) for seeds in of_seed)))
        if not shared:
            return None
        stacks = [np.stack([seeds[s] for s in shared]).astype("float64") for seeds in of_seed]
        return hierarchical_bootstrap(combine(*stacks))

    effects = []
    for treatment in by_treatment:
        alone = Treatment("none", treatment.augmentation, "")
        plain = dataclasses.replace(treatment, augmentation="none")
        candidates: list[tuple[str, tuple[Treatment, ...], Any]] = []
        if treatment.distillation != "none":
            candidates.append(("distillation", (treatment, alone), np.subtract))
        if treatment.augmentation != "none":
            candidates.append(("augmentation", (treatment, plain), np.subtract))
        if treatment.distillation not in ("none", "kl"):
            usual = dataclasses.replace(treatment, distillation="kl")
            candidates.append(("over kl", (treatment, usual), np.subtract))
        control = _control(treatment.augmentation)
        if control is not None:
            without = dataclasses.replace(treatment, augmentation=control)
            kind = "feedback" if treatment.augmentation == FEEDBACK else "picking"
            candidates.append((kind, (treatment, without), np.subtract))
        if treatment.distillation != "none" and treatment.augmentation != "none":
            four = (treatment, plain, alone, _NEITHER)
            candidates.append(("interaction", four, interaction))
        for kind, needed, combine in candidates:
            found = estimate(needed, combine)
            if found is not None:
                effects.append(Effect(kind, treatment, found))
    return effects


def _control(augmentation: str) -> str | None:
    """Return the augmentation that differs in not asking the teacher, if there is one."""
    if augmentation == FEEDBACK:
        return UNIFORM
    return augmentation.removesuffix(PICK) if augmentation.endswith(PICK) else None
