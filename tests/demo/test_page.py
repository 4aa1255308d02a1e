"""The page runs the very file in Chromium, offline, and says what the interpreter says."""

from __future__ import annotations

import hashlib
import io
import re
import threading
from contextlib import contextmanager

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from kd_keras import export
from kd_keras.demo import serve, write_demo
from kd_keras.jobs import classify
from tests.demo.conftest import LABELS

SECONDS = 60_000

# Browsers take a while to start.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def teacher(integer_file):
    """Another size, RGB, two images at a time, uint8 at both ends, a softmax inside."""
    return integer_file(tf.uint8, batch=2)


@pytest.fixture(scope="module")
def page_file(runtime, packed, teacher, tmp_path_factory):
    return write_demo(packed, tmp_path_factory.mktemp("demo") / "page", teacher=teacher)


@contextmanager
def opened(browser, url, script="", **options):
    """Open the page, after a script of the test's own, and give it when its models are loaded."""
    context = browser.new_context(viewport={"width": 1000, "height": 900}, **options)
    page = context.new_page()
    page.add_init_script(script)
    requests = []
    page.on("request", lambda request: requests.append(request.url))
    try:
        page.goto(url, timeout=SECONDS)
        page.wait_for_selector("body[data-state]", timeout=SECONDS)
        assert page.get_attribute("body", "data-state") == "ready", page.inner_text("#status")
        page.requests = requests
        yield page
    finally:
        context.close()


@pytest.fixture(scope="module")
def page(browser, page_file):
    with opened(browser, page_file.as_uri(), offline=True) as page:
        yield page


def updated(page, action):
    """Do something that changes the picture and wait until the models have seen it."""
    before = int(page.get_attribute("body", "data-updates"))
    action()
    for _ in range(600):
        if int(page.get_attribute("body", "data-updates")) > before:
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"no new results: {page.inner_text('#status')}")


def probabilities(page, model):
    rows = page.locator(f'.model[data-index="{model}"] .classes li').all()
    found = np.zeros(len(rows))
    for row in rows:
        found[int(row.get_attribute("data-index"))] = row.get_attribute("data-probability")
    return found


def in_python(model, path):
    ((_, scores),) = classify(model, [path], top=10).pictures
    return np.array([score.probability for score in sorted(scores, key=lambda s: s.index)])


def test_a_real_digit_gets_the_probabilities_of_the_interpreter(page, packed, teacher, digit):
    path, pixels = digit
    updated(page, lambda: page.set_input_files("#file", path))

    student = export.Classifier(packed).probabilities(pixels[None, :, :, None])[0]
    np.testing.assert_allclose(probabilities(page, 1), student, atol=1e-3)
    assert 0.5 < student[2] < 0.999  # a value that is told from a rounded one
    # Another size and RGB: the page resizes as Python does, up to a rounding of one in 255.
    np.testing.assert_allclose(probabilities(page, 0), in_python(teacher, path), atol=1 / 256)
    assert np.ptp(probabilities(page, 0)) > 1 / 256

    first = page.locator('.model[data-index="1"] .classes li').first
    assert first.inner_text().split() == ["two", f"{100 * student[2]:.1f}", "%"]
    for card in page.locator(".model").all():
        assert 0 < float(card.get_attribute("data-milliseconds")) < 1000
        assert "ms an image" in card.inner_text()


def test_a_turned_photo_with_transparency_is_seen_as_python_sees_it(page, packed, tmp_path):
    rng = np.random.default_rng(0)
    small = PIL.Image.fromarray(rng.integers(0, 256, (9, 14, 4), dtype="uint8"), "RGBA")
    smooth = small.resize((140, 90), PIL.Image.Resampling.BICUBIC)
    clear, turned = tmp_path / "clear.png", tmp_path / "turned.jpg"
    smooth.save(clear)
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    smooth.convert("RGB").save(turned, exif=exif, quality=95)
    for path in (clear, turned):
        updated(page, lambda path=path: page.set_input_files("#file", path))
        expected = in_python(packed, path)
        # JPEG decoders and premultiplied colours may round differently by a level or two.
        np.testing.assert_allclose(probabilities(page, 1), expected, atol=0.05)


def test_the_page_shows_the_picture_and_fits_its_window(page, digit):
    updated(page, lambda: page.set_input_files("#file", digit[0]))
    screenshot = np.asarray(PIL.Image.open(io.BytesIO(page.screenshot())).convert("L"))
    assert len(np.unique(screenshot)) > 100
    canvas = PIL.Image.open(io.BytesIO(page.locator("#picture").screenshot())).convert("L")
    drawn = np.asarray(canvas.resize((8, 8), PIL.Image.Resampling.BOX)).astype(float)
    assert np.corrcoef(drawn.ravel(), digit[1].ravel())[0, 1] > 0.95
    for width in (1000, 360):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.set_viewport_size({"width": 1000, "height": 900})


def test_drawing_changes_the_answer_and_clearing_takes_it_back(page):
    updated(page, lambda: page.click("#clear"))
    empty = probabilities(page, 1)
    box = page.locator("#picture").bounding_box()
    middle = box["x"] + box["width"] / 2

    def stroke():
        page.mouse.move(middle, box["y"] + 15)
        page.mouse.down()
        page.mouse.move(middle, box["y"] + box["height"] - 15, steps=4)
        page.mouse.up()

    updated(page, stroke)
    page.wait_for_timeout(300)
    drawn = probabilities(page, 1)
    assert LABELS[drawn.argmax()] == "one"
    assert np.abs(drawn - empty).max() > 0.1
    updated(page, lambda: page.click("#clear"))
    np.testing.assert_array_equal(probabilities(page, 1), empty)


def test_a_file_that_is_no_picture_is_named_and_the_page_goes_on(page, tmp_path, digit):
    wrong = tmp_path / "notes.txt"
    wrong.write_text("no picture")
    page.set_input_files("#file", wrong)
    page.wait_for_selector("#status.failed", timeout=SECONDS)
    assert page.inner_text("#status") == "notes.txt is no picture that this browser reads."
    updated(page, lambda: page.set_input_files("#file", digit[0]))
    assert page.inner_text("#status") == ""


def test_nothing_is_asked_of_any_other_place(page, page_file):
    assert [u for u in page.requests if not u.startswith(("blob:", "data:"))] == [
        page_file.as_uri()
    ]
    html = page_file.read_text(encoding="utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', html)
    assert policy is not None and policy[1].startswith("default-src 'none'; ")
    assert "http" not in policy[1] and "'self'" not in policy[1]
    refused = page.evaluate("fetch('http://127.0.0.1:1/').then(() => 'went', e => e.message)")
    assert refused != "went"


def test_the_page_says_which_files_it_holds(page, packed):
    card = page.locator('.model[data-index="1"]').text_content()
    assert hashlib.sha256(packed.read_bytes()).hexdigest() in card
    assert "Student: digits, int8" in card
    assert "8 x 8 grey" in card
    assert page.title() == "digits, int8"
    assert page.get_attribute("body", "data-build") == "litert_wasm_internal"


def test_a_browser_without_relaxed_simd_gets_the_other_build(browser, page_file, packed, digit):
    # The runtime finds out by a module of a few bytes that needs it.
    without = """
        const real = WebAssembly.instantiate;
        WebAssembly.instantiate = (code, ...rest) => code.byteLength < 1000
            ? Promise.reject(new Error("not here")) : real.call(WebAssembly, code, ...rest);
    """
    with opened(browser, page_file.as_uri(), without, offline=True) as page:
        updated(page, lambda: page.set_input_files("#file", digit[0]))
        expected = in_python(packed, digit[0])
        np.testing.assert_allclose(probabilities(page, 1), expected, atol=1e-3)
        assert page.get_attribute("body", "data-build") == "litert_wasm_compat_internal"


def test_the_page_works_from_a_server_too(browser, page_file, digit):
    with serve(page_file.parent, port=0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_address[1]}/"
            with opened(browser, url) as page:
                updated(page, lambda: page.set_input_files("#file", digit[0]))
                assert LABELS[probabilities(page, 1).argmax()] == "two"
                assert [u for u in page.requests if u.startswith("http")] == [url]
        finally:
            server.shutdown()
            thread.join()
