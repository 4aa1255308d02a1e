"""Text of others in figures: as it is, without formulas, in a font that has its letters."""

from __future__ import annotations

import io
import re
import warnings

import numpy as np
import pytest
from PIL import Image

from kd_keras.report.drawing import draw
from kd_keras.report.gallery import Sheet, View, draw_sheet
from kd_keras.report.lettering import _fonts_with, lettered

FORMULAS = (r"$\frac{1}$", "$x$", "a$b$c", r"\$", "$", r"$\left(", "^_{}")
LETTERS = ("猫", "नमस्ते", "ไทย", "עברית")


@pytest.fixture(autouse=True)
def no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def texts(svg):
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


@pytest.mark.parametrize("names", [FORMULAS, LETTERS, ("a\x1bb", "<b>&")])
def test_a_chart_shows_names_as_they_are(names):
    def paint(axes):
        for name in names:
            axes.plot([0, 1], label=name)
        axes.set_xticks(range(len(names)), names)
        axes.set(title=names[0], xlabel=names[-1])

    svg = draw(names[0], paint).svg
    shown = [
        name.replace("\x1b", r"\x1b")
        .replace("&", "&amp;")
        .replace("<", "&lt;")
        .replace(">", "&gt;")
        for name in names
    ]
    for name in shown:
        assert texts(svg).count(name) >= 2, name
    assert "\x1b" not in svg


def sheet(name):
    return Sheet("p", ((View(np.zeros((8, 8, 3), "uint8"), ((name, 1.0),), ((name, 0.5),)),),))


@pytest.mark.parametrize("name", [*FORMULAS, "a\x1b\nb"])
def test_a_picture_shows_names_as_they_are(name):
    missing: set[str] = set()
    assert Image.open(io.BytesIO(draw_sheet(sheet(name), missing))).size
    assert missing == set()


def test_letters_that_no_font_has_are_told_once_and_not_warned_of(monkeypatch):
    monkeypatch.setattr("kd_keras.report.lettering._fonts_with", lambda characters: ())
    missing: set[str] = set()
    draw_sheet(sheet("a猫犬猫"), missing)
    assert missing == {"猫", "犬"}


@pytest.fixture
def font(tmp_path):
    """An installed font in which 猫 is a black square of the size of a letter."""
    from fontTools.fontBuilder import FontBuilder
    from fontTools.pens.ttGlyphPen import TTGlyphPen
    from matplotlib import font_manager

    def box(size):
        pen = TTGlyphPen(None)
        pen.moveTo((0, 0))
        for corner in ((0, size), (size, size), (size, 0)):
            pen.lineTo(corner)
        pen.closePath()
        return pen.glyph()

    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", "cat"])
    builder.setupCharacterMap({ord("猫"): "cat"})
    builder.setupGlyf({".notdef": box(10), "cat": box(900)})
    builder.setupHorizontalMetrics({".notdef": (1000, 0), "cat": (1000, 0)})
    builder.setupHorizontalHeader(ascent=900, descent=-100)
    builder.setupNameTable({"familyName": "Cats", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(tmp_path / "cats.ttf")
    before = list(font_manager.fontManager.ttflist)
    font_manager.fontManager.addfont(tmp_path / "cats.ttf")
    _fonts_with.cache_clear()
    yield "Cats"
    font_manager.fontManager.ttflist[:] = before
    _fonts_with.cache_clear()


def test_an_installed_font_that_has_the_letters_is_taken(font, monkeypatch):
    def dark(missing):
        picture = Image.open(io.BytesIO(draw_sheet(sheet("猫"), missing))).convert("L")
        return (np.asarray(picture) < 60).sum()

    missing: set[str] = set()
    with_font = dark(missing)
    assert missing == set()
    assert _fonts_with(frozenset(map(ord, "猫"))) == (font,)
    monkeypatch.setattr("kd_keras.report.lettering._fonts_with", lambda characters: ())
    # The black squares of the font, and not the boxes that stand for unknown letters.
    assert with_font > dark(missing) + 50
    assert missing == {"猫"}


def test_what_else_matplotlib_warns_of_still_comes_through():
    def make():
        warnings.warn("something else", UserWarning, stacklevel=2)
        return "drawn"

    with pytest.warns(UserWarning, match="something else"):
        assert lettered(make) == ("drawn", "")
