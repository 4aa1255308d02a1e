"""A study as Markdown, to be committed beside the code or pasted into an issue."""

from __future__ import annotations

from kd_keras.escaping import markdown, markdown_block
from kd_keras.experiments.study.summary import Summary
from kd_keras.report.study.tables import legend, readable_recipe, readable_tables
from kd_keras.report.table import Table
from kd_keras.report.table import as_markdown as table_as_markdown


def as_markdown(summary: Summary) -> str:
    """Return the tables of the page, what they mean, and the commands that filled them."""
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
