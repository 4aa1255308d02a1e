"""Lines for a person: names and paths as they are, whatever brackets are in them."""

from __future__ import annotations

from rich.console import Console

from kd_keras.escaping import terminal


def say(console: Console, text: str, rest: str = "", *, bold: bool | None = None) -> None:
    """Print a line. Nothing in it is read as markup, and a path is not broken at the margin.

    Args:
        console: Where to.
        text: The line, or its beginning, which is bold where `rest` follows.
        rest: Follows `text`.
        bold: Whether `text` is bold; by default where there is a `rest`.
    """
    heading = terminal(text, "bold" if (bool(rest) if bold is None else bold) else "")
    console.print(heading + terminal(rest), highlight=False, soft_wrap=True)
