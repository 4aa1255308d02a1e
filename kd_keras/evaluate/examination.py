"""What an examination found out about one model. It goes through JSON and knows no TensorFlow."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from kd_keras.evaluate.calibration import Reliability
from kd_keras.evaluate.robustness import Robustness
from kd_keras.evaluate.segmentation import SegmentationScores


@dataclasses.dataclass(frozen=True)
class Fidelity:
    """How close a model is to the teacher.

    Attributes:
        examples: How many images were compared.
        agreement: Share of images for which both name the same class, 0..1.
        kl: Mean divergence of the model's distribution from the teacher's, in nats, >= 0.
    """

    examples: int
    agreement: float
    kl: float


@dataclasses.dataclass(frozen=True)
class TrainingScores:
    """How good a model is on clean images that it was trained on.

    Attributes:
        examples: How many were used.
        accuracy: Top-1 accuracy, 0..1.
        cross_entropy: Mean negative log-likelihood, in nats.
    """

    examples: int
    accuracy: float
    cross_entropy: float


@dataclasses.dataclass(frozen=True)
class Examination:
    """Everything that was measured of one model on one test split. None: not measured.

    Attributes:
        examples: How many test examples there are.
        accuracy: Top-1 accuracy, 0..1.
        cross_entropy: Mean negative log-likelihood (NLL), in nats.
        calibration_error: Expected calibration error (ECE) in 15 bins, 0..1.
        brier_score: Brier score, 0..2.
        reliability: Confidence and accuracy in the 15 bins.
        precision: Of each class, 0..1; None where nothing was given the class.
        recall: Of each class, 0..1, also called its accuracy; None where nothing has the class.
        class_examples: How many examples each class has.
        confusions: Triples (label, class given, how often), where that is not 0.
        fidelity: To the teacher, on the test images.
        fidelity_on_views: To the teacher, on augmented views of test images.
        training: Scores on clean training images.
        robustness: What corruptions, shifts and attacks leave.
        segmentation: How well label maps are found, where there is a class for every pixel; all
            that counts examples above then counts pixels, but for `examples` itself.
    """

    examples: int
    accuracy: float
    cross_entropy: float
    calibration_error: float
    brier_score: float
    reliability: Reliability
    precision: tuple[float | None, ...]
    recall: tuple[float | None, ...]
    class_examples: tuple[int, ...]
    confusions: tuple[tuple[int, int, int], ...]
    fidelity: Fidelity | None = None
    fidelity_on_views: Fidelity | None = None
    training: TrainingScores | None = None
    robustness: Robustness | None = None
    segmentation: SegmentationScores | None = None

    @property
    def accuracy_gap(self) -> float | None:
        """Overfit gap: accuracy on training images less that on test images; None if unknown."""
        return None if self.training is None else self.training.accuracy - self.accuracy

    @property
    def cross_entropy_gap(self) -> float | None:
        """Overfit gap: NLL on test images less that on training images; None if unknown."""
        return None if self.training is None else self.cross_entropy - self.training.cross_entropy

    def to_dict(self) -> dict[str, Any]:
        """Return everything in forms that JSON has, for `from_dict`."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Examination:
        """Return what `to_dict`, and JSON, made a dict of.

        Raises:
            KeyError: If a field is missing.
            TypeError: If there is one too many, or a value has another form.

        Example:

        ```python
        import json

        text = json.dumps(examination.to_dict())
        Examination.from_dict(json.loads(text)) == examination
        ```
        """
        reliability = fields["reliability"]
        parts: dict[str, Any] = {
            "reliability": Reliability(**{name: tuple(v) for name, v in reliability.items()}),
            "confusions": tuple((a, b, count) for a, b, count in fields["confusions"]),
        }
        for name in ("precision", "recall", "class_examples"):
            parts[name] = tuple(fields[name])
        for name, kind in (
            ("fidelity", Fidelity),
            ("fidelity_on_views", Fidelity),
            ("training", TrainingScores),
        ):
            parts[name] = None if fields[name] is None else kind(**fields[name])
        tried = fields["robustness"]
        parts["robustness"] = None if tried is None else Robustness.from_dict(tried)
        # Format 2 of a report had none at first.
        found = fields.get("segmentation")
        parts["segmentation"] = None if found is None else SegmentationScores.from_dict(found)
        return cls(**{**fields, **parts})
