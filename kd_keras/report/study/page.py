"""A study as one self-contained HTML page."""

from __future__ import annotations

from kd_keras.escaping import html_template
from kd_keras.experiments.study.summary import Summary
from kd_keras.report.study.charts import study_charts
from kd_keras.report.study.tables import legend, readable_recipe, readable_tables


def render(summary: Summary) -> str:
    """Return the page's HTML. All text of the summary is escaped."""
    return html_template("kd_keras.report", "study.html.j2").render(
        summary=summary,
        tables=readable_tables(summary),
        legend=legend(summary),
        recipe=readable_recipe(summary),
        charts=study_charts(summary),
    )
