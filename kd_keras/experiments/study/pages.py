"""A study as one self-contained HTML page, and as Markdown."""

from __future__ import annotations

from kd_keras.escaping import html_template, markdown, markdown_block
from kd_keras.experiments.study.charts import study_charts
from kd_keras.experiments.study.summary import Summary
from kd_keras.experiments.study.tables import legend, readable_recipe, readable_tables
from kd_keras.report.table import Table
from kd_keras.report.table import as_markdown as table_as_markdown


def render(summary: Summary) -> str:
    """Return the page's HTML. All text of the summary is escaped."""
    return html_template("kd_keras.report", "study.html.j2").render(
        summary=summary,
        tables=readable_tables(summary),
        legend=legend(summary),
        recipe=readable_recipe(summary),
        charts=study_charts(summary),
    )


def as_markdown(summary: Summary) -> str:
    """Return the page's tables, what they mean, and the commands that filled them.

    To be committed beside the code or pasted into an issue.
    """
    parts = [f"# {markdown(summary.title)}"]
    parts.append(markdown_block(summary.commands, "sh"))
    if summary.missing:
        parts.append(
            f"{len(summary.missing)} cells are not finished: "
            f"{markdown(', '.join(summary.missing))}."
        )
    for table in readable_tables(summary):
        parts += [f"## {table.title.capitalize()}", table_as_markdown(table)]
    parts += [*map(markdown, legend(summary)), "## Recipe of all cells and environment"]
    pairs = [*readable_recipe(summary).items(), *summary.environment.items()]
    parts.append(table_as_markdown(Table(("name", "value"), pairs, texts=2)))
    return "\n\n".join(parts) + "\n"
