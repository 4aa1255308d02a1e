"""What is wrong with a command line, in one line: tyro says it in a box of many."""

from __future__ import annotations

import contextlib
import difflib
import os
import re
from collections.abc import Iterator

_SIDES = "│╰╯ "
_RULE = re.compile("[─-]+")  # the latter where the output knows no lines
# Python's words for what a person typed, and ours.
_WORDS = (
    (
        r"(.+): invalid literal for int\(\) with base 10: (.+)",
        r"\1 must be an integer. Received: \2",
    ),
    (r"(.+): could not convert string to float: (.+)", r"\1 must be a number. Received: \2"),
    (r"([A-Z]\w+): (.+)", r"\2"),  # a class of ours
)


@contextlib.contextmanager
def unwrapped() -> Iterator[None]:
    """Let tyro break no line of a box, as it would at the width of the terminal, nor colour it."""
    plain = {"COLUMNS": "100000", "TERM": "dumb"}
    before = {name: os.environ.get(name) for name in plain}
    os.environ.update(plain)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def in_one_line(box: str) -> str:
    """Return what a box of tyro says, and which option was perhaps meant.

    Args:
        box: All that tyro wrote, with no line broken.
    """
    sections: list[list[str]] = [[]]
    for line in box.splitlines()[1:]:  # behind the title
        text = line.strip(_SIDES)
        if _RULE.fullmatch(text):
            sections.append([])
        elif text:
            sections[-1].append(text)
    first, *more = list(filter(None, sections)) or [["the arguments are not understood"]]
    said = " ".join(first).removeprefix("Error parsing ")
    for pattern, words in _WORDS:
        if match := re.fullmatch(pattern, said):
            said = match.expand(words)
    for head, *lines in more:
        if head.startswith("Available subcommands"):
            said = f"{said}. {head}"
        elif head.startswith("Perhaps you meant"):
            said += _meant(said, [line.split()[0] for line in lines if line.startswith("--")])
    return said.rstrip(".")


def _meant(said: str, options: list[str]) -> str:
    """Return the question for the nearest of `options`, unless it is what was typed."""
    typed = next((word.strip(",") for word in said.split() if word.startswith("--")), "")
    near = [*difflib.get_close_matches(typed, options, n=1), *options]
    return f". Did you mean {near[0]}?" if near and near[0] != typed else ""
