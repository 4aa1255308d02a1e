"""The sheets of views: every pixel and every label is there, and nothing is fetched."""

from __future__ import annotations

import base64
import io
import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from kd_keras.report.gallery import Sheet, View, caption, draw_sheet, render_gallery
from tests.report.test_page import Page

RANDOM = np.random.default_rng(0)


def view(channels=3, labels=(("ship", 1.0),), predictions=(("ship", 0.875), ("<b>frog", 0.125))):
    image = RANDOM.integers(0, 256, (8, 6, channels)).astype("uint8")
    return View(image, labels, predictions)


@pytest.fixture(scope="module")
def sheets():
    mixed = (("ship", 0.62), ("<b>frog", 0.38))
    rows = tuple((view(), view(labels=mixed), *(view() for _ in range(5))) for _ in range(3))
    return [Sheet("cut<mix>", rows), Sheet("grey", ((view(1), view(1)),))]


@pytest.fixture(scope="module")
def html(sheets):
    return render_gallery("a & <b>", "kd-keras views '<script>'", sheets, "teacher<i>.keras")


def test_tags_nest_and_text_is_no_markup(html):
    parsed = Page(html)
    assert html.startswith("<!DOCTYPE html>") and parsed.open == []
    assert not {"script", "i", "mix", "frog"} & set(parsed.tags)
    for text in ("a & <b>", "'<script>'", "cut<mix>", "teacher<i>.keras"):
        assert text in parsed.text


def test_every_image_is_embedded_with_its_own_pixels(html, sheets):
    sources = [value for tag, name, value in Page(html).attributes if (tag, name) == ("img", "src")]
    views = [view for sheet in sheets for row in sheet.rows for view in row]
    assert len(sources) == len(views) == 23
    for source, shown in zip(sources, views, strict=True):
        head, data = source.split(",")
        assert head == "data:image/png;base64"
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
        np.testing.assert_array_equal(pixels.reshape(shown.image.shape), shown.image)


def test_labels_shares_and_probabilities_stand_under_each_image(html):
    cells = Page(html).cells
    assert cells[:3] == ["original", "view 1", "view 2"]
    first, mixed = (" ".join(cell.split()) for cell in cells[7:9])
    assert first == "ship ship88 % <b>frog12 %"
    assert mixed == "ship (62 %) + <b>frog (38 %) ship88 % <b>frog12 %"
    assert html.count('style="--share: 87.5%"') == 23
    # "frog" is a label of the mixed views alone.
    assert len(re.findall(r'class="guess true"', html)) == 23 + 3


def test_nothing_is_fetched_from_anywhere(html):
    parsed = Page(html)
    assert not {"script", "link", "iframe", "object"} & set(parsed.tags)
    assert not re.search(r"@import|url\(", html)
    for _, name, value in parsed.attributes:
        if name in ("href", "src", "srcset", "action"):
            assert value.startswith("data:image/png;base64,")


def test_without_a_teacher_the_page_says_so():
    sheet = Sheet("none", ((view(predictions=()),),))
    html = render_gallery("t", "c", [sheet])
    assert "No teacher" in html
    assert 'class="guess' not in html


def test_the_picture_holds_the_pixels_unsmoothed():
    image = np.array([[[0], [255]], [[255], [0]]], "uint8")
    rows = ((View(image, (("5", 1.0),), (("5", 0.9),)),) * 2,)
    picture = np.asarray(Image.open(io.BytesIO(draw_sheet(Sheet("none", rows)))).convert("L"))
    # Left image: find its black corner, and look at the centres of its four pixels.
    side = round(1.5 * 120)  # a cell, in pixels of the picture
    top = round(2.5 * 0.135 * side)
    left = round(0.04 * side)
    centres = [
        picture[top + round(side * y), left + round(side * x)]
        for y in (0.25, 0.75)
        for x in (0.25, 0.75)
    ]
    assert centres == [0, 255, 255, 0]
    inside = picture[top + 4 : top + side - 4, left + 4 : left + side - 4]
    # Nearest neighbours: but for the two edges through the middle there are no greys.
    assert np.isin(inside, (0, 255)).mean() > 0.97


def test_the_picture_grows_with_the_rows_and_draws_the_bars(sheets):
    small = Image.open(io.BytesIO(draw_sheet(Sheet("a", sheets[0].rows[:1]))))
    large = Image.open(io.BytesIO(draw_sheet(Sheet("a", sheets[0].rows))))
    assert small.width == large.width and small.height < large.height
    green = (np.asarray(small.convert("RGB")) == (0xA6, 0xD8, 0xB6)).all(axis=-1)
    none = tuple((view(predictions=()),) for _ in range(1))
    plain = np.asarray(Image.open(io.BytesIO(draw_sheet(Sheet("a", none)))).convert("RGB"))
    assert green.any() and not (plain == (0xA6, 0xD8, 0xB6)).all(axis=-1).any()


def test_captions():
    assert caption((("cat", 1.0),)) == "cat"
    assert caption((("1", 0.625), ("5", 0.375))) == "1 (62 %) + 5 (38 %)"


def test_drawing_leaves_matplotlib_as_it_was(sheets):
    import matplotlib

    before = dict(matplotlib.rcParams)
    draw_sheet(sheets[1])
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("width", [520, 1300])
def test_a_browser_shows_the_page_without_overflow(html, tmp_path, width):
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("needs Debian's chromium")
    # The page measures itself: its width, and how wide the first and the last image are shown.
    probe = (
        "<script>const i = document.images; document.title = [document.documentElement.scrollWidth,"
        "i[0].naturalWidth, Math.round(i[0].width), Math.round(i[6].width)]</script></body>"
    )
    path = tmp_path / "views.html"
    path.write_text(html.replace("</body>", probe), encoding="utf-8")
    command = [
        *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"),
        *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
        *("--disable-sync", f"--user-data-dir={tmp_path / 'profile'}"),
        *(f"--window-size={width},900", "--dump-dom", path.as_uri()),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    page, natural, first, last = map(
        int, re.search(r"<title>([\d,]+)</title>", done.stdout)[1].split(",")
    )
    assert page <= width
    assert natural == 6
    assert first >= 90 and abs(first - last) <= 4
