"""A table as a reader sees it, once for the terminal, Markdown and the page."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kd_keras.escaping import markdown, terminal

if TYPE_CHECKING:
    from rich.console import Console

ABSENT = "\N{EN DASH}"
_WORD = 20  # what is longer is a path or a name that was made


@dataclass(frozen=True)
class Table:
    """A table of text. Rows whose first cell is empty belong to the row above them.

    Attributes:
        headings: Of the columns.
        rows: The cells.
        title: What stands above it; a page and Markdown make a heading of it.
        caption: What stands below it in a terminal.
        texts: How many columns hold words, from the left; the others hold numbers.
        folded: What to click on to see the table, where it is too long to be shown at once.
        compact: Whether a terminal has little room for it.
        marked: Positions of the rows that are to strike the eye.
    """

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""
    caption: str = ""
    texts: int = 1
    folded: str = ""
    compact: bool = False
    marked: Collection[int] = ()


def show(table: Table, console: Console) -> None:
    """Print a table.

    Example:

    >>> from rich.console import Console
    >>> from kd_keras.report.table import Table, show
    >>> show(Table(("preset", "bytes"), [("int8", "18,616")]), Console(width=80))
    ┏━━━━━━━━┳━━━━━━━━┓
    ┃ preset ┃  bytes ┃
    ┡━━━━━━━━╇━━━━━━━━┩
    │ int8   │ 18,616 │
    └────────┴────────┘
    """
    from rich import box
    from rich.table import Table as Drawn

    drawn = Drawn(
        title=terminal(table.title, "table.title") if table.title else None,
        caption=terminal(table.caption, "table.caption") if table.caption else None,
        box=box.SIMPLE_HEAD if table.compact else box.HEAVY_HEAD,
        pad_edge=not table.compact,
        padding=(0, 1, 0, 0) if table.compact else (0, 1),
    )
    for index, name in enumerate(table.headings):
        heading = name.replace(" ", "\n") if table.compact else name
        if index < table.texts:
            # Where there is too little room a path is broken, and not a word.
            cells = (name, *(row[index] for row in table.rows))
            words = [word for cell in cells for word in cell.split()]
            longest = max((len(word) for word in words if len(word) <= _WORD), default=0)
            drawn.add_column(heading, overflow="fold", min_width=longest or None)
        else:
            drawn.add_column(heading, justify="right", no_wrap=True)
    grouped = any(not row[0] for row in table.rows)
    for index, row in enumerate(table.rows):
        if grouped and row[0]:
            drawn.add_section()
        drawn.add_row(*map(terminal, row), style="bold red" if index in table.marked else None)
    console.print(drawn)


def as_markdown(table: Table) -> str:
    """Return a table as Markdown, without its title and caption.

    Example:

    >>> from kd_keras.report.table import Table, as_markdown
    >>> print(as_markdown(Table(("preset", "bytes"), [("int8", "18,616")])))
    | preset |  bytes |
    |--------|-------:|
    | int8   | 18,616 |
    """
    columns = []
    for index, column in enumerate(zip(table.headings, *table.rows, strict=True)):
        cells = [markdown(cell) for cell in column]
        width = max(map(len, cells))
        if index < table.texts:
            first, *others = (cell.ljust(width) for cell in cells)
            columns.append([f" {first} ", "-" * (width + 2), *(f" {cell} " for cell in others)])
        else:
            first, *others = (cell.rjust(width) for cell in cells)
            columns.append([f" {first} ", f"{'-' * (width + 1)}:", *(f" {c} " for c in others)])
    return "\n".join(f"|{'|'.join(line)}|" for line in zip(*columns, strict=True))


def percent(share: float) -> str:
    """Return a share from 0 to 1 in percent."""
    return f"{100 * share:.2f} %"


def nats(value: float) -> str:
    """Return a divergence or a likelihood in nats."""
    return f"{value:.3f}"


def size(count: int) -> str:
    """Return a number of bytes in decimal units, as file managers and app stores count them."""
    if count < 1000:
        return f"{count} B"
    if count < 1_000_000:
        return f"{count / 1e3:.1f} kB"
    return f"{count / 1e6:.2f} MB"
