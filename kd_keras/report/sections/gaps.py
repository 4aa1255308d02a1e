"""Gaps: between a model and its teacher, and between training and test examples."""

from __future__ import annotations

from kd_keras.evaluate.examination import Fidelity
from kd_keras.report.results import Report
from kd_keras.report.sections.section import Section
from kd_keras.report.table import ABSENT, Table, nats, percent


def fidelity(report: Report) -> Section | None:
    """Return a row for each model that was compared with the teacher."""
    rows = []
    views: list[int] = []
    for name, examination in report.examinations.items():
        if examination.fidelity is not None:
            on_views = examination.fidelity_on_views
            views += [] if on_views is None else [on_views.examples]
            rows.append((name, *_cells(examination.fidelity), *_cells(on_views)))
    if not rows:
        return None
    headings = ("model", "agreement", "KL, nats", "agreement on views", "KL on views, nats")
    told = f"Agreement and divergence KL(teacher || model), on the test {report.noun}s as they are"
    notes = [f"{told}."]
    if views:
        notes = [
            f"{told} and on augmented views of {max(views):,} of them: the policy of the training."
        ]
    return Section("Fidelity to the teacher", notes, Table(headings, rows))


def _cells(fidelity: Fidelity | None) -> tuple[str, str]:
    if fidelity is None:
        return ABSENT, ABSENT
    return percent(fidelity.agreement), nats(fidelity.kl)


def overfit_gap(report: Report) -> Section | None:
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
