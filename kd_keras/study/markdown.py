"""A study as Markdown, to be committed beside the code or pasted into an issue."""

from __future__ import annotations

import io
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from kd_keras.escaping import markdown, markdown_block
from kd_keras.study.summary import Summary
from kd_keras.study.tables import readable_recipe, readable_tables

_WIDE = 1000  # no cell is broken into lines


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
        parts += [f"## {table.title.capitalize()}", _table(table.columns, table.rows, table.texts)]
    parts += [_legend(summary), "## Recipe of all cells and environment"]
    pairs = [*readable_recipe(summary).items(), *summary.environment.items()]
    parts.append(_table(("name", "value"), pairs, 2))
    return "\n\n".join(parts) + "\n"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], texts: int) -> str:
    drawn = Table(box=box.MARKDOWN)
    for index, name in enumerate(columns):
        drawn.add_column(
            Text(markdown(name)), justify="left" if index < texts else "right", no_wrap=True
        )
    for row in rows:
        drawn.add_row(*(Text(markdown(cell)) for cell in row))
    text = io.StringIO()
    Console(file=text, width=_WIDE, color_system=None).print(drawn)
    return "\n".join(line.strip() for line in text.getvalue().strip().splitlines())


def _legend(summary: Summary) -> str:
    keep = summary.recipe.get("keep", "last")
    return (
        f"Test split, after the {keep} epoch: mean and standard deviation over seeds. Teacher: "
        "what it was trained on. Corruptions (15 of CIFAR-C at 5 severities) and FGSM (8/255) on "
        f"{summary.robustness_examples:,} images of it, evenly spaced. mCE is relative to students "
        "with neither distillation nor augmentation; below 100 % is better. Minutes and teacher "
        "calls are those "
        "of one student's training; a call is one image through the teacher, whose own training is "
        "not counted. Effects are points of test accuracy: distillation against the same "
        "augmentation without a teacher, augmentation against the same distillation without "
        "augmentation, interaction is what both give together beyond the sum of what each gives "
        "alone, over kl is against the KL divergence alone, picking against the same policy "
        "without it (and half as many teacher calls), feedback against uniform. Intervals: "
        "hierarchical bootstrap over seeds and test images, for one teacher."
    )
