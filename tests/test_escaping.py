"""Whatever a stranger wrote is shown as it is, and does nothing, in each place."""

from __future__ import annotations

import csv
import io

import pytest
from markdown_it import MarkdownIt
from markupsafe import Markup
from rich.console import Console

from kd_keras import escaping

ESCAPES = (
    "\x1b[2J",
    "\x1b]0;title\x07",
    "\x9b31m",
    "a\rb",
    "a\x08b",
    "\u202egnp",
    "a\u200f1",
    "\ufeffa",
    "\u2028",
    "\x00",
)
LEGAL = (
    "猫",
    "नमस्ते",
    "می‌خواهم",
    "👩‍🚒",
    "a b",
    "\N{NO-BREAK SPACE}x",
    "C:\\new",
    "é",
    "[red]",
    ":cat:",
)
# What a renderer of Markdown that lets HTML through would make something else of.
MARKED = (
    *("<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<!-- ", "&lt;b&gt;", "&amp;"),
    *("*a*", "__a__", "_a_", "a_b_c", "`a`", "``", "~~a~~", "[a](b)", "![a](b)", "<http://a.b>"),
    *("# a", "- a", "+ a", "1. a", "2) a", "===", "---", "> a", "a | b", "\\*a\\*", "$x$", "a\\"),
    *("#", "-5", "+0.3", "1.5", "C:\\new\\*", "  - a", "     a", "- - -", "***", "+++"),
)
HTML = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


def rendered(text: str) -> tuple[set[str], str]:
    """Return the kinds of what a Markdown renderer makes of a text, and what a reader sees."""
    kinds, seen = set(), []
    tokens = HTML.parse(text)
    while tokens:
        token = tokens.pop(0)
        if token.children is not None and token.type == "inline":
            tokens[:0] = token.children
            continue
        kinds.add(token.type.removesuffix("_open").removesuffix("_close"))
        seen.append(token.content)
    return kinds, "".join(seen)


@pytest.mark.parametrize("text", ESCAPES)
def test_what_would_act_in_a_terminal_is_written_out(text):
    shown = escaping.visible(text)
    assert shown.isprintable()
    assert shown.encode().decode("unicode_escape") == text
    # What is written out once is not written out again.
    assert escaping.visible(shown) == shown


@pytest.mark.parametrize("text", LEGAL)
def test_a_legal_name_stays_as_it_is(text):
    assert escaping.visible(text) == text
    out = io.StringIO()
    Console(file=out, force_terminal=True, color_system=None).print(escaping.terminal(text))
    assert out.getvalue() == f"{text}\n"


def test_a_file_name_that_is_no_text_can_be_written():
    assert escaping.visible("\udce9t\udce9").encode("utf-8") == b"\\udce9t\\udce9"


def test_line_breaks_stay_where_they_are_asked_for():
    assert escaping.visible("a\n\x1bb", keep="\n") == "a\n\\x1bb"


@pytest.mark.parametrize("text", [*MARKED, *LEGAL])
@pytest.mark.parametrize(
    ("around", "kinds"),
    [
        ("# {}", {"heading", "text"}),
        ("{}", {"paragraph", "text"}),
        ("- {}", {"bullet_list", "list_item", "paragraph", "text"}),
        ("- it: {}, or {}", {"bullet_list", "list_item", "paragraph", "text"}),
        ("| a |\n|---|\n| {} |", {"table", "thead", "tbody", "tr", "th", "td", "text"}),
    ],
)
def test_markdown_shows_a_text_as_it_is(around, kinds, text):
    found, seen = rendered(around.format(*[escaping.markdown(text)] * 2))
    assert found - {"text_special"} == kinds
    assert text.strip() in seen


@pytest.mark.parametrize("text", [*MARKED, "a``b", "`", " ", "a\nb", "a\n\n<b>"])
@pytest.mark.parametrize("around", ["- {}: x", "| a |\n|---|\n| {} |"])
def test_code_in_markdown_is_not_left(around, text):
    found, seen = rendered(around.format(escaping.markdown_code(text)))
    assert "html_inline" not in found and "html_block" not in found
    assert not {"link", "image", "em", "strong", "s"} & found
    assert escaping.visible(text).strip() in seen


def test_a_block_of_code_is_not_ended_by_a_line_of_it():
    lines = ["kd-keras", "```", "````", "a\n```\n<script>", "<script>"]
    found, seen = rendered(escaping.markdown_block(lines, "sh"))
    assert found == {"fence"}
    assert seen.splitlines() == list(map(escaping.visible, lines))


@pytest.mark.parametrize(
    "sign", ["=", "+", "-", "@", "\t", "\r", "\n", "\N{FULLWIDTH EQUALS SIGN}"]
)
def test_a_spreadsheet_calculates_no_text(sign):
    text = escaping.csv_table([[f"{sign}cmd|'/C calc'!A0", "a=b"]])
    assert len(text.splitlines()) == 1
    ((cell, harmless),) = csv.reader([text])
    assert cell.startswith("'") and harmless == "a=b"


def test_numbers_stay_numbers_and_nothing_stays_empty():
    assert escaping.csv_table([[-0.5, 3, None, 1e-9, "a,b", 'c"d']]) == (
        '-0.5,3,,1e-09,"a,b","c""d"\n'
    )


@pytest.fixture
def templates(tmp_path, monkeypatch):
    """Make a template of a package, whose name is returned."""

    def make(text):
        package = f"strangers_{tmp_path.name}"
        folder = tmp_path / package / "templates"
        folder.mkdir(parents=True)
        (folder.parent / "__init__.py").write_text("")
        (folder / "it.j2").write_text(text, encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path)
        return package

    return make


def test_a_page_escapes_all_but_markup(templates):
    package = templates(
        '<p title="{{ text }}">{{ text }}{{ 1 }}{{ own }}</p><script>{{ text|tojson }}</script>'
    )
    page = escaping.html_template(package, "it.j2")
    text = "\"'><b>\x1b\udcff</script>"
    shown = page.render(text=text, own=Markup("<i>"))
    assert shown.count("<b>") == 0 and shown.count("</script>") == 1 and "1<i></p>" in shown
    assert "\\x1b\\udcff" in shown and shown.encode("utf-8")


def test_a_card_escapes_all_but_markup(templates):
    package = templates("- {{ text }} {{ 1.5 }} {{ text | code }}{{ own }}\n")
    card = escaping.markdown_template(package, "it.j2")
    found, seen = rendered(card.render(text="<b>*a*`c`", own=Markup("<i>")))
    assert "em" not in found and "<b>*a*`c` 1.5 <b>*a*`c`<i>" in seen
