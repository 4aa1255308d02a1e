"""What each link of a chain of teachers gained or lost."""

from __future__ import annotations

from kd_keras.report.results import Report
from kd_keras.report.sections.section import Section
from kd_keras.report.table import ABSENT, Table, percent

_ALONE, _STUDENT = "student alone", "distilled student"
_TEACHER, _TOGETHER = "teacher", "teachers together"


def section(report: Report) -> Section | None:
    """Return a row for each network that another one taught, in a run with assistants."""
    assistants = report.recipe.get("assistants")
    right = {row.name: row.accuracy for row in report.rows}
    if not assistants:
        return None
    first = _TOGETHER if report.recipe.get("more_teachers") else _TEACHER
    links = [first, *(f"assistant {n}" for n in range(1, len(assistants) + 1)), _STUDENT]
    networks = [report.recipe["teacher"], *assistants, report.recipe["student"]]
    rows = []
    for place, name in enumerate(links[1:], start=1):
        teachers = links[:place] if report.recipe.get("taught_by") == "all" else [links[place - 1]]
        accuracy, before = right[name], right[links[place - 1]]
        rows.append(
            (
                f"{name}, {networks[place]}",
                ", ".join(teachers),
                ABSENT if accuracy is None else percent(accuracy),
                _points(accuracy, before),
                _points(accuracy, right[_ALONE] if name == _STUDENT else None),
            )
        )
    headings = ("link", "taught by", "accuracy", "against the one before", "against it alone")
    notes = [
        "Accuracy on the test images, and by how many points it differs from that of the network "
        "before in the chain, and from the same network trained alone on the same views.",
        "What the student would be with the first teacher alone is another run: the same without "
        "assistants.",
    ]
    return Section("Links of the chain", notes, Table(headings, rows, texts=2))


def _points(mine: float | None, theirs: float | None) -> str:
    return ABSENT if mine is None or theirs is None else f"{100 * (mine - theirs):+.2f}"
