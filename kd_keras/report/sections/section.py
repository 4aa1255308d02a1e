"""What a section of the page is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kd_keras.report.drawing import Chart
from kd_keras.report.table import Table


@dataclass(frozen=True)
class Section:
    """A heading with what stands below it.

    Attributes:
        heading: The heading.
        notes: Paragraphs that say what the numbers are.
        table: A table above the charts.
        charts: The charts.
        small: Whether the charts are small, three of them in a row.
    """

    heading: str
    notes: Sequence[str] = ()
    table: Table | None = None
    charts: Sequence[Chart] = ()
    small: bool = False
