"""The report of a run: what was made, how good it is, how it was trained."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kd_keras.evaluate.examination import Examination
from kd_keras.evaluate.robustness import Robustness
from kd_keras.json_text import parse_json
from kd_keras.regular_file import read_text

_FORMAT = 2
# What format 2 added has values of its own where it is missing, so format 1 is read as it is.
_READ = (1, 2)


@dataclass(frozen=True)
class ResultRow:
    """One model or file of a report. None stands for what does not apply to it.

    Attributes:
        name: What the reader knows it by, such as "teacher" or "student, int8 .tflite".
        accuracy: Top-1 accuracy on the test split, 0..1.
        agreement: Top-1 agreement with the teacher on the test split, 0..1.
        parameters: How many weights it has.
        bytes: Size of its file.
        latency_ms: Median time for one image on one thread, in milliseconds.
        mce: Mean corruption error against the report's baseline, whose own is 1.
        examination: All else that was measured of it.
    """

    name: str
    accuracy: float | None = None
    agreement: float | None = None
    parameters: int | None = None
    bytes: int | None = None
    latency_ms: float | None = None
    mce: float | None = None
    examination: Examination | None = None

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> ResultRow:
        """Return what `dataclasses.asdict` and JSON made a dict of."""
        found = fields.get("examination")
        examination = None if found is None else Examination.from_dict(found)
        return cls(**{**fields, "examination": examination})


@dataclass(frozen=True)
class Report:
    """Everything that a run says about itself; JSON in, JSON out.

    Attributes:
        title: The run's name.
        command: The command that makes this report again.
        recipe: The run's settings: names to JSON values.
        rows: The results, in the order in which they are shown.
        histories: Per model, per logged quantity, one value per epoch.
        environment: Names and versions of what it ran on.
        seconds: Wall time of each stage.
        classes: Names of the classes, by label; empty where they have none.
        baseline: Name of the row that `mce` compares with; empty where there is none.
        noun: What one example is called, in the singular.
        strips: Of data with a class for every pixel, some test images side by side as a PNG in
            base 64, by "image", "label" and the names of rows; class ids are grey values.
    """

    title: str
    command: str
    recipe: Mapping[str, Any] = field(default_factory=dict)
    rows: Sequence[ResultRow] = ()
    histories: Mapping[str, Mapping[str, Sequence[float]]] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    classes: Sequence[str] = ()
    baseline: str = ""
    noun: str = "image"
    strips: Mapping[str, str] = field(default_factory=dict)

    @property
    def examinations(self) -> dict[str, Examination]:
        """What else was measured of the models that were examined, by their names."""
        return {row.name: row.examination for row in self.rows if row.examination is not None}

    def class_names(self, count: int) -> list[str]:
        """Return the names of so many classes, or their numbers where they have none."""
        return list(self.classes) if len(self.classes) == count else list(map(str, range(count)))

    @property
    def robustness(self) -> dict[str, Robustness]:
        """What was measured on changed examples, by the names of the models."""
        examined = self.examinations.items()
        return {name: e.robustness for name, e in examined if e.robustness is not None}

    def to_json(self) -> str:
        """Return the report as JSON text; values of a history that are not finite become null.

        Raises:
            ValueError: If a row holds a number that is not finite.
            TypeError: If the recipe holds something that JSON has no form for.
        """
        return json.dumps(
            {
                "format": _FORMAT,
                "title": self.title,
                "command": self.command,
                "recipe": dict(self.recipe),
                "rows": [dataclasses.asdict(row) for row in self.rows],
                "histories": {
                    model: {name: [_finite(v) for v in values] for name, values in logs.items()}
                    for model, logs in self.histories.items()
                },
                "environment": dict(self.environment),
                "seconds": {name: float(value) for name, value in self.seconds.items()},
                "classes": list(self.classes),
                "baseline": self.baseline,
                "noun": self.noun,
                **({"strips": dict(self.strips)} if self.strips else {}),
            },
            indent=2,
            allow_nan=False,
        )

    @classmethod
    def from_json(cls, text: str) -> Report:
        """Return the report that `to_json` wrote.

        Raises:
            ValueError: If the text is no report.
        """
        try:
            content = parse_json(text)
        except ValueError as error:
            raise ValueError(f"The text is no report of kd_keras: {error}.") from error
        try:
            if content["format"] not in _READ:
                raise ValueError(
                    f"The report has format {content['format']!r}, and this version of kd_keras "
                    f"reads the formats {_READ}. Read it with the version that wrote it."
                )
            return cls(
                title=content["title"],
                command=content["command"],
                recipe=content["recipe"],
                rows=tuple(ResultRow.from_dict(row) for row in content["rows"]),
                histories={
                    model: {
                        name: [math.nan if value is None else value for value in values]
                        for name, values in logs.items()
                    }
                    for model, logs in content["histories"].items()
                },
                environment=content["environment"],
                seconds=content["seconds"],
                classes=tuple(content.get("classes", ())),
                baseline=content.get("baseline", ""),
                noun=content.get("noun", "image"),
                strips=content.get("strips", {}),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"The text is no report of kd_keras: {error!r}.") from error


def read_report(path: str | os.PathLike[str]) -> Report:
    """Return the report in a `report.json`.

    Raises:
        ValueError: If the file is missing, damaged or no report.
    """
    try:
        text = read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f"Cannot read the report: {error}. Received: path={str(path)!r}"
        ) from error
    try:
        return Report.from_json(text)
    except ValueError as error:
        raise ValueError(f"{error} Received: path={str(path)!r}") from error


def _finite(value: Any) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None
