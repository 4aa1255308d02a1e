"""Text of strangers, safe where it is shown: in a terminal, Markdown, HTML or CSV.

Labels, file names and names in a file are whatever their author wrote: sequences that move the
cursor, scripts, formulas, line breaks. Below every room: whoever shows text shows it through here.
Figures have `kd_keras.report.lettering`.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment, Template
    from rich.text import Text

# Control characters, line and paragraph separators, what turns the direction of the text around it,
# and bytes of a file name that are no UTF-8. Joiners stay: scripts and emoji are written with them.
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff]"
)
# Entities, and not backslashes, where some Markdown renderers know no backslash.
_ENTITIES = {character: f"&#{ord(character)};" for character in "$|~"} | {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
}
_MARKUP = re.compile(r"[&<>$|~]|[\\`*\[\]]|(?<![^\W_])_|_(?![^\W_])")
_BLOCK = re.compile(r"(?:-+|\+|#+|=+|\d+(?=[.)]))(?=[.)]?(?:\s|$))")
_FORMULA = re.compile(r"[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")


def visible(text: object, keep: str = "") -> str:
    r"""Return text in which what would act unseen is written out, as Python writes it.

    Args:
        text: Anything; its `str` is meant.
        keep: Characters that may stay, such as a line break.

    Example:

    >>> from kd_keras.escaping import visible
    >>> print(visible("cat\x1b[2J"))
    cat\x1b[2J
    """
    return _UNSEEN.sub(lambda m: m[0] if m[0] in keep else ascii(m[0])[1:-1], str(text))


def terminal(text: object, style: str = "", keep: str = "") -> Text:
    """Return text for `rich`: nothing in it is markup, an emoji code or a command to the terminal.

    Args:
        text: Anything; its `str` is meant.
        style: A style of `rich` for all of it.
        keep: As for `visible`.

    Example:

    >>> from rich.console import Console
    >>> from kd_keras.escaping import terminal
    >>> Console().print(terminal("[red]:cat:"))
    [red]:cat:
    """
    from rich.text import Text

    return Text(visible(text, keep), style)


def markdown(text: object) -> str:
    """Return text that a Markdown renderer shows as it is, in a line, a list or a table's cell.

    Example:

    >>> from kd_keras.escaping import markdown
    >>> print(markdown("<b> *a* | b_c"))
    &lt;b&gt; \\*a\\* &#124; b_c
    """
    # Spaces before it would be seen by nobody, and make a list or code of it.
    shown = visible(text).lstrip(" ")
    escaped = _MARKUP.sub(lambda m: _ENTITIES.get(m[0], f"\\{m[0]}"), shown)
    block = _BLOCK.match(escaped)
    if block is None:
        return escaped
    # A heading, a list or a line would begin here; of "1." the point is escaped.
    place = block.end() if block[0].isdigit() else 0
    return f"{escaped[:place]}\\{escaped[place:]}"


def markdown_code(text: object) -> str:
    """Return text as Markdown's code; as plain text where it would end the code or a cell early.

    Example:

    >>> from kd_keras.escaping import markdown_code
    >>> print(markdown_code("a_b"), markdown_code("a`b"))
    `a_b` a\\`b
    """
    shown = visible(text)
    return markdown(text) if re.search("[`|<>]", shown) or not shown.strip() else f"`{shown}`"


def markdown_block(lines: Iterable[object], language: str = "") -> str:
    """Return lines as a block of Markdown's code, which none of them can end.

    Example:

    >>> from kd_keras.escaping import markdown_block
    >>> print(markdown_block(["kd-keras losses"], "sh"))
    ```sh
    kd-keras losses
    ```
    """
    shown = [visible(line) for line in lines]
    longest = max((len(run) for line in shown for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return "\n".join([fence + language, *shown, fence])


def csv_table(rows: Iterable[Iterable[object]]) -> str:
    r"""Return rows as CSV in which no text is a formula to a spreadsheet. None is an empty cell.

    A text that a spreadsheet would calculate gets an apostrophe before it. Numbers stay numbers.

    Example:

    >>> from kd_keras.escaping import csv_table
    >>> csv_table([("model", "change"), ("=1+1", -0.5)])
    "model,change\n'=1+1,-0.5\n"
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue()


def html_template(package: str, name: str) -> Template:
    """Return a template of a self-contained page; it may extend `base.html.j2` of `report`.

    All text that is rendered is escaped, unless it is `Markup` already.

    Args:
        package: Where its folder `templates` is.
        name: File name of the template.
    """
    from markupsafe import Markup

    def finalize(value: Any) -> Any:
        plain = isinstance(value, str) and not isinstance(value, Markup)
        return visible(value, keep="\n\t") if plain else value

    environment = _environment(package, autoescape=True, lstrip_blocks=True, finalize=finalize)
    return environment.get_template(name)


def markdown_template(package: str, name: str) -> Template:
    """Return a template of Markdown: all text that is rendered is escaped, unless it is `Markup`.

    Args:
        package: Where its folder `templates` is.
        name: File name of the template. Its filter `code` gives what `markdown_code` gives.
    """
    from markupsafe import Markup

    def finalize(value: Any) -> Any:
        return markdown(value) if not isinstance(value, Markup) else value

    environment = _environment(package, keep_trailing_newline=True, finalize=finalize)
    environment.filters["code"] = lambda text: Markup(markdown_code(text))
    return environment.get_template(name)


def _environment(package: str, **settings: Any) -> Environment:
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("kd_keras.report")]),
        undefined=StrictUndefined,
        trim_blocks=True,
        **settings,
    )


def _cell(value: object) -> object:
    if not isinstance(value, str):
        return value
    shown = visible(value)
    return f"'{shown}" if _FORMULA.match(value) else shown
