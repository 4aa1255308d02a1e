"""The report of a run: what was made, how good it is, how it was trained."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kd_keras.whole_file import write_whole

_FORMAT = 1


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
    """

    name: str
    accuracy: float | None = None
    agreement: float | None = None
    parameters: int | None = None
    bytes: int | None = None
    latency_ms: float | None = None


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
    """

    title: str
    command: str
    recipe: Mapping[str, Any] = field(default_factory=dict)
    rows: Sequence[ResultRow] = ()
    histories: Mapping[str, Mapping[str, Sequence[float]]] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)

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
            content = json.loads(text)
            if content["format"] != _FORMAT:
                raise ValueError(
                    f"The report has format {content['format']!r}, and this version of kd_keras "
                    f"reads format {_FORMAT}. Read it with the version that wrote it."
                )
            return cls(
                title=content["title"],
                command=content["command"],
                recipe=content["recipe"],
                rows=tuple(ResultRow(**row) for row in content["rows"]),
                histories={
                    model: {
                        name: [math.nan if value is None else value for value in values]
                        for name, values in logs.items()
                    }
                    for model, logs in content["histories"].items()
                },
                environment=content["environment"],
                seconds=content["seconds"],
            )
        except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
            raise ValueError(f"The text is no report of kd_keras: {error!r}.") from error


def write_report(
    path_html: str | os.PathLike[str], path_json: str | os.PathLike[str], report: Report
) -> None:
    """Write a report as a page to look at and as JSON to read again.

    The page is one file with everything in it, curves included: it needs no network. Each file
    appears whole or not at all, the JSON last, so that where it exists the page does too.

    Args:
        path_html: The page, such as `report.html`, in an existing folder.
        path_json: The data, such as `report.json`, in an existing folder.
        report: What they say.

    Raises:
        ValueError: If a folder is missing or cannot be written, or a result is not finite.
        TypeError: If the recipe holds something that JSON has no form for.

    Example:

    >>> from kd_keras.evaluate import Report, ResultRow, read_report, write_report
    >>> report = Report("digits", "kd-keras distill digits", rows=(ResultRow("teacher", 0.98),))
    >>> write_report("report.html", "report.json", report)
    >>> read_report("report.json").rows[0].accuracy
    0.98
    """
    from kd_keras.evaluate.page import render

    data = report.to_json()
    write_whole(path_html, render(report))
    write_whole(path_json, data + "\n")


def read_report(path: str | os.PathLike[str]) -> Report:
    """Return the report in a `report.json`.

    Raises:
        ValueError: If the file is missing, damaged or no report.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
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
