"""What models know of images that they were trained on and not of others."""

from __future__ import annotations

from kd_keras.report.results import Report
from kd_keras.report.sections.section import Section
from kd_keras.report.table import Table, nats, percent


def section(report: Report) -> Section | None:
    """Return scores on training and test examples, and the gap between them."""
    rows = []
    used = 0
    for name, examination in report.examinations.items():
        training = examination.training
        if training is None:
            continue
        used = training.examples
        rows.append(
            (
                name,
                percent(training.accuracy),
                percent(examination.accuracy),
                f"{100 * (training.accuracy - examination.accuracy):+.2f}",
                nats(training.cross_entropy),
                nats(examination.cross_entropy),
                f"{examination.cross_entropy - training.cross_entropy:+.3f}",
            )
        )
    if not rows:
        return None
    headings = (
        *("model", "accuracy in training", "on the test split", "gap, points"),
        *("NLL in training", "on the test split", "gap, nats"),
    )
    notes = [f"On {used:,} clean training {report.noun}s, not augmented, and on the test split."]
    return Section("Overfit gap", notes, Table(headings, rows))
