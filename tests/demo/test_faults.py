"""What cannot be shown is refused in words, and no folder is left half written."""

from __future__ import annotations

import functools
import http.server
import threading
from contextlib import contextmanager

import pytest
import tensorflow as tf

from kd_keras import whole_file
from kd_keras.cli import main
from kd_keras.demo import serve, write_demo
from kd_keras.demo.web_runtime import web_runtime
from tests.demo.conftest import RELEASED


@contextmanager
def registry(folder):
    """A registry in which every package is what lies in `folder`."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def empty_cache(monkeypatch, tmp_path):
    cache = tmp_path / "cache"
    monkeypatch.setattr("pooch.os_cache", lambda name: cache / name)
    return cache


def test_without_network_and_cache_the_error_says_so_and_nothing_is_written(
    empty_cache, monkeypatch, tmp_path, capsys
):
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9")
    assert main(["demo", str(RELEASED), "--output", str(tmp_path / "made" / "page")]) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "is not in the cache" in said
    assert "http://127.0.0.1:9/@litertjs/core/-/core-2.5.3.tgz" in said
    assert "npm_config_registry" in said
    assert not (tmp_path / "made").exists()


def test_a_package_that_was_tampered_with_is_refused_and_not_kept(
    empty_cache, monkeypatch, tmp_path
):
    published = tmp_path / "registry" / "@litertjs" / "core" / "-"
    published.mkdir(parents=True)
    (published / "core-2.5.3.tgz").write_bytes(b"something else")
    with registry(tmp_path / "registry") as url:
        monkeypatch.setenv("npm_config_registry", url)
        with pytest.raises(ValueError, match="its SHA-512 is another. It was not kept"):
            write_demo(RELEASED, tmp_path / "page")
    assert [path for path in empty_cache.rglob("*") if path.is_file()] == []


def test_a_registry_without_the_package_is_named(empty_cache, monkeypatch, tmp_path):
    with registry(tmp_path) as url:
        monkeypatch.setenv("npm_config_registry", url)
        with pytest.raises(ConnectionError, match="404"):
            write_demo(RELEASED, tmp_path / "page")


def test_a_cached_runtime_needs_no_network(runtime, monkeypatch):
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9")
    again = web_runtime()
    assert again == runtime
    assert {script[:4] for script, _ in again.builds.values()} == {b"// T"}
    assert {binary[:4] for _, binary in again.builds.values()} == {b"\0asm"}


def test_a_truncated_file_is_refused(tmp_path):
    cut = tmp_path / "cut.tflite"
    cut.write_bytes(RELEASED.read_bytes()[:9000])
    with pytest.raises(ValueError, match="cut off or damaged"):
        write_demo(cut, tmp_path / "page")
    with pytest.raises(ValueError, match="cut off or damaged"):
        write_demo(RELEASED, tmp_path / "page", teacher=cut)
    assert not (tmp_path / "page").exists()


def test_a_file_with_int8_input_is_refused_before_anything_is_fetched(
    empty_cache, integer_file, tmp_path
):
    with pytest.raises(ValueError, match="float32 and uint8 alone.*input of dtype int8"):
        write_demo(integer_file(tf.int8), tmp_path / "page")
    assert not empty_cache.exists()


def test_labels_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(ValueError, match="`labels` must be a text file"):
        write_demo(RELEASED, tmp_path / "page", labels=tmp_path / "missing.txt")
    (tmp_path / "two.txt").write_text("a\nb\n")
    with pytest.raises(ValueError, match="label for each of the 10 classes"):
        write_demo(RELEASED, tmp_path / "page", labels=tmp_path / "two.txt")


@pytest.mark.parametrize("existing", [False, True])
def test_a_full_disk_leaves_no_folder_and_an_earlier_page_as_it_was(
    small_runtime, monkeypatch, tmp_path, existing
):
    folder = tmp_path / "made" / "page"
    if existing:
        earlier = write_demo(RELEASED, folder, command="earlier").read_text()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(whole_file.os, "fsync", full)
    with pytest.raises(ValueError, match="No space left on device. Choose another folder"):
        write_demo(RELEASED, folder)
    if existing:
        assert [(p.name, p.read_text()) for p in folder.iterdir()] == [("index.html", earlier)]
    else:
        assert not (tmp_path / "made").exists()


def test_an_output_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "page").write_text("mine")
    with pytest.raises(ValueError, match="The page cannot be written.*--output"):
        write_demo(RELEASED, tmp_path / "page")
    assert (tmp_path / "page").read_text() == "mine"


def test_a_port_that_is_taken_is_named(small_runtime, tmp_path):
    write_demo(RELEASED, tmp_path)
    with serve(tmp_path, port=0) as server:
        port = server.server_address[1]
        said = rf"already in use.*--port.*port={port}"
        with pytest.raises(ValueError, match=said), serve(tmp_path, port=port):
            pass


def test_serving_ends_well_with_ctrl_c(small_runtime, packed, monkeypatch, tmp_path, capsys):
    def interrupted(server):
        raise KeyboardInterrupt

    monkeypatch.setattr(http.server.ThreadingHTTPServer, "serve_forever", interrupted)
    monkeypatch.chdir(tmp_path)
    assert main(["demo", str(packed), "--serve", "--port", "0"]) == 0
    page, address = capsys.readouterr().out.splitlines()
    assert page == "saved_models/digits_int8-demo/index.html"
    assert (tmp_path / page).exists()
    assert address.startswith("http://127.0.0.1:") and address.endswith("/ until Ctrl-C")


def test_a_file_without_labels_numbers_its_classes_and_the_same_call_gives_the_same_page(
    small_runtime, tmp_path
):
    pages = [
        write_demo(RELEASED, tmp_path / name, command="again").read_bytes() for name in ("a", "b")
    ]
    assert pages[0] == pages[1]
    assert b'"class 9"' in pages[0]
    # The page refuses the pictures that `predict` refuses.
    assert b'"most_pixels": 128000000' in pages[0]
