"""What corruptions, shifts and attacks leave of a model's accuracy.

TensorFlow is imported when it is needed: a saved report is read and shown without it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from kd_keras.evaluate.predictor import Predict, batches, in_batches, is_keras
from kd_keras.evaluate.shift import Border, rotate, scale
from kd_keras.evaluate.top_one import accuracy

# Gradients keep what every layer gave for all images of a batch.
_ATTACKED = 100
_NO_GRADIENT = "this model gives logits and no gradient, as a .tflite file does"
_NOT_IMAGES = (
    "the data are {dtype} of shape {shape}, and this needs uint8 images (height, width, 1 or 3)"
)
_NOT_CLASSES = "the model does not give one row of two logits or more for each image"


@dataclasses.dataclass(frozen=True)
class Trials:
    """What models are put through. An empty sequence leaves a part out.

    Attributes:
        corruptions: Some of `kd_keras.evaluate.corruptions.CORRUPTIONS`; None for all fifteen.
        severities: Some of 1 to 5.
        rotations: Angles in degrees.
        scales: Factors above 0.
        border: What stands beside a rotated or shrunken image, as for `rotate`.
        attacks: Whether to attack with FGSM and PGD.
        epsilon: Largest change of a pixel by an attack, in the unit of the images, 0..255.
        pgd_steps: Steps of PGD, >= 1.
        seed: Seed of corruptions and attacks.
        perturbations: Changes of other data than images, by what they are called: functions from
            a NumPy batch to one of the same shape.

    Example:

    >>> from kd_keras.evaluate import Trials
    >>> Trials(corruptions=("fog", "snow"), attacks=False).severities
    (1, 2, 3, 4, 5)
    """

    corruptions: Sequence[str] | None = None
    severities: Sequence[int] = (1, 2, 3, 4, 5)
    rotations: Sequence[float] = (-60, -45, -30, -15, 0, 15, 30, 45, 60)
    scales: Sequence[float] = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5)
    border: Border = "constant"
    attacks: bool = True
    epsilon: float = 8.0
    pgd_steps: int = 10
    seed: int = 0
    perturbations: Mapping[str, Callable[[Any], Any]] = dataclasses.field(default_factory=dict)

    def of_images(self) -> tuple[str, ...]:
        """Return which parts are to be tried that need images."""
        asked = {
            "corruptions": self.severities and (self.corruptions is None or self.corruptions),
            "rotations": self.rotations,
            "scales": self.scales,
            "attacks": self.attacks,
        }
        return tuple(part for part, value in asked.items() if value)


@dataclasses.dataclass(frozen=True)
class Robustness:
    """How one model came through its trials.

    Attributes:
        examples: How many test images were used.
        severities: The severities of the corruptions.
        corruption_errors: By corruption, the share of wrong answers, 0..1, at each severity.
        border: What stood beside rotated and shrunken images.
        rotations: Pairs of an angle in degrees and the accuracy there.
        scales: Pairs of a factor and the accuracy there.
        epsilon: Largest change of a pixel by an attack, of 255.
        pgd_steps: Steps of PGD.
        fgsm: Accuracy under the fast gradient sign method, or None.
        pgd: Accuracy under projected gradient descent, or None.
        perturbed: By the name of a perturbation, the accuracy there.
        left_out: By part, why it was not tried.
    """

    examples: int
    severities: tuple[int, ...] = ()
    corruption_errors: Mapping[str, tuple[float, ...]] = dataclasses.field(default_factory=dict)
    border: str = "constant"
    rotations: tuple[tuple[float, float], ...] = ()
    scales: tuple[tuple[float, float], ...] = ()
    epsilon: float = 8.0
    pgd_steps: int = 10
    fgsm: float | None = None
    pgd: float | None = None
    perturbed: Mapping[str, float] = dataclasses.field(default_factory=dict)
    left_out: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def corruption_error(self) -> float | None:
        """Mean error over all corruptions and severities, or perturbations; None without any."""
        errors: list[Any] = list(self.corruption_errors.values())
        errors = errors or [1.0 - right for right in self.perturbed.values()]
        return float(np.mean(errors)) if errors else None

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Robustness:
        """Return what `dataclasses.asdict` and JSON made a dict of."""
        return cls(
            **{
                **fields,
                "severities": tuple(fields["severities"]),
                "corruption_errors": {
                    name: tuple(errors) for name, errors in fields["corruption_errors"].items()
                },
                "rotations": tuple((angle, share) for angle, share in fields["rotations"]),
                "scales": tuple((factor, share) for factor, share in fields["scales"]),
                # Format 2 of a report had none at first.
                "perturbed": dict(fields.get("perturbed", {})),
            }
        )


def try_models(
    models: Mapping[str, Any],
    predictors: Mapping[str, Predict],
    images: np.ndarray,
    classes: np.ndarray,
    trials: Trials,
    progress: Callable[[str], None],
    kept: MutableMapping[str, np.ndarray] | None = None,
    ignored: int | None = None,
) -> dict[str, Robustness]:
    """Return how each model comes through; all see the same images, which are made once.

    Args:
        models: Keras models and functions from images to logits, by name.
        predictors: The same as functions of NumPy batches.
        images: `(examples, height, width, channels)`, or what else the models take.
        classes: Class ids `(examples,)`.
        trials: What to try.
        progress: Called with what is done next.
        kept: Changed images of an earlier call on the same images and trials, to which those of
            this one are added.
        ignored: The class id of positions that do not count; None if all do.
    """

    def accuracies(change: Callable[[Any], Any], part: str) -> dict[str, float]:
        progress(part)
        changed = None if kept is None else kept.get(part)
        if changed is None:
            changed = in_batches(change, images)
            if kept is not None:
                kept[part] = changed
        return {
            name: accuracy(in_batches(predict, changed), classes, ignored)
            for name, predict in predictors.items()
        }

    perturbed = {name: accuracies(change, name) for name, change in trials.perturbations.items()}
    usable = images.dtype == np.uint8 and images.ndim == 4 and images.shape[-1] in (1, 3)
    if not usable or classes.ndim != 1 or not trials.of_images():
        reason = (
            _NOT_CLASSES
            if usable
            else _NOT_IMAGES.format(dtype=images.dtype, shape=images.shape[1:])
        )
        return {
            name: Robustness(
                len(images),
                perturbed={change: at[name] for change, at in perturbed.items()},
                left_out=dict.fromkeys(trials.of_images(), reason),
            )
            for name in models
        }
    corrupted = _under_corruptions(trials, accuracies)
    rotated = _under_shifts("degrees", trials.rotations, rotate, trials.border, accuracies)
    scaled = _under_shifts("factor", trials.scales, scale, trials.border, accuracies)
    results: dict[str, Robustness] = {}
    for name, model in models.items():
        fgsm = pgd = None
        left_out: dict[str, str] = {}
        if trials.attacks:
            progress(f"attacks on {name}")
            if not is_keras(model):
                left_out["attacks"] = _NO_GRADIENT
            elif predictors[name](images[:1]).shape[-1] < 2:
                left_out["attacks"] = _NOT_CLASSES
            else:
                fgsm, pgd = _under_attacks(model, images, classes, trials)
        results[name] = Robustness(
            examples=len(images),
            severities=tuple(trials.severities) if corrupted else (),
            corruption_errors={
                corruption: tuple(1 - at[name] for at in by_severity)
                for corruption, by_severity in corrupted.items()
            },
            border=trials.border,
            rotations=tuple((float(angle), at[name]) for angle, at in rotated.items()),
            scales=tuple((float(factor), at[name]) for factor, at in scaled.items()),
            epsilon=trials.epsilon,
            pgd_steps=trials.pgd_steps,
            fgsm=fgsm,
            pgd=pgd,
            perturbed={change: at[name] for change, at in perturbed.items()},
            left_out=left_out,
        )
    return results


# From a change of the images, and what it is called, to the accuracy of each model on them.
_Accuracies = Callable[[Callable[[Any], Any], str], dict[str, float]]


def _under_corruptions(
    trials: Trials, accuracies: _Accuracies
) -> dict[str, list[dict[str, float]]]:
    import tensorflow as tf

    from kd_keras.evaluate.corruptions import CORRUPTIONS, corrupt

    if not trials.severities:
        return {}
    return {
        name: [
            accuracies(
                tf.function(
                    partial(corrupt, corruption=name, severity=severity, seed=trials.seed),
                    reduce_retracing=True,
                    # Nothing in it is for AutoGraph, whose conversion takes half of the time.
                    autograph=False,
                ),
                f"{name.replace('_', ' ')}, severity {severity}",
            )
            for severity in trials.severities
        ]
        for name in (CORRUPTIONS if trials.corruptions is None else trials.corruptions)
    }


def _under_shifts(
    name: str,
    amounts: Sequence[float],
    change: Callable[..., Any],
    border: Border,
    accuracies: _Accuracies,
) -> dict[float, dict[str, float]]:
    return {
        amount: accuracies(partial(change, **{name: amount}, border=border), f"{name} {amount:g}")
        for amount in amounts
    }


def _under_attacks(
    model: Any, images: np.ndarray, classes: np.ndarray, trials: Trials
) -> tuple[float, float]:
    import tensorflow as tf

    from kd_keras.evaluate.adversarial import fgsm, pgd

    @tf.function(reduce_retracing=True)
    def forward(x: Any, training: bool = False) -> Any:
        return model(x, training=training)

    # The attacks run eagerly around the one compiled function and its gradient: to trace each
    # attack as a whole takes longer than to run it.
    shares = []
    for attack in (
        partial(fgsm, epsilon=trials.epsilon),
        partial(pgd, epsilon=trials.epsilon, steps=trials.pgd_steps, seed=trials.seed),
    ):
        logits = [
            np.asarray(forward(attack(forward, x, y)), "float32")
            for x, y in zip(batches(images, _ATTACKED), batches(classes, _ATTACKED), strict=True)
        ]
        shares.append(accuracy(np.concatenate(logits), classes))
    return shares[0], shares[1]
