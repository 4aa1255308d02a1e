"""The page takes a folder of its own and no other's, and is all that is served."""

from __future__ import annotations

import http.client
import os
import threading
from contextlib import contextmanager

import pytest

from kd_keras.cli import main
from kd_keras.demo import serve, write_demo
from tests.demo.conftest import RELEASED


@pytest.fixture
def page(small_runtime, tmp_path):
    """A page in a folder that got other things afterwards."""
    path = write_demo(RELEASED, tmp_path / "demo", command="again")
    folder = path.parent
    (folder / "notes.txt").write_text("secret")
    (folder / ".env").write_text("secret")
    (folder / "deep").mkdir()
    (folder / "deep" / "index.html").write_text("secret")
    (tmp_path / "outside.txt").write_text("secret")
    (folder / "link").symlink_to(tmp_path / "outside.txt")
    (folder / "up").symlink_to(tmp_path)
    return path


@contextmanager
def asking(folder, **options):
    with serve(folder, port=0, **options) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()

        def ask(address, method="GET"):
            connection = http.client.HTTPConnection(*server.server_address)
            connection.request(method, address)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()

        try:
            yield server, ask
        finally:
            server.shutdown()
            thread.join()


def test_the_page_and_nothing_else_is_served(page):
    with asking(page.parent) as (server, ask):
        assert server.server_address[0] == "127.0.0.1"
        for address in ("/", "/index.html", "/?v=1"):
            status, headers, body = ask(address)
            assert (status, body) == (200, page.read_bytes())
            assert headers["Content-Type"] == "text/html; charset=utf-8"
        status, headers, body = ask("/", "HEAD")
        assert (status, body, headers["Content-Length"]) == (200, b"", str(page.stat().st_size))
        for address in (
            *("/notes.txt", "/.env", "/deep/", "/deep/index.html", "/link", "/up/outside.txt"),
            *("/./", "/.", "/%2e%2e/outside.txt", "/../outside.txt", "/index.html/", "*"),
        ):
            status, _, body = ask(address)
            assert status == 404 and b"secret" not in body, address
        assert ask("/", "POST")[0] == 501


@pytest.mark.parametrize("host", ["", " ", None])
def test_an_empty_host_would_be_every_address_and_is_refused(page, host):
    with (
        pytest.raises(ValueError, match="`host` must name an address"),
        serve(page.parent, host=host),
    ):
        pass


def test_the_command_refuses_an_empty_host_before_it_writes(small_runtime, tmp_path, capsys):
    call = ["demo", str(RELEASED), "--output", str(tmp_path / "demo"), "--serve", "--host", ""]
    assert main(call) == 1
    assert "`host` must name an address" in capsys.readouterr().err
    assert not (tmp_path / "demo").exists()


def _file(folder):
    (folder / "index.html").write_text("<h1>my own</h1>")


def _link(folder):
    (folder.parent / "elsewhere.html").write_text("<h1>my own</h1>")
    (folder / "index.html").symlink_to(folder.parent / "elsewhere.html")


def _dangling(folder):
    (folder / "index.html").symlink_to(folder.parent / "missing.html")


def _link_to_a_page_of_ours(folder):
    (folder / "index.html").symlink_to(write_demo(RELEASED, folder.parent / "other"))


def _folder(folder):
    (folder / "index.html").mkdir()


def _pipe(folder):
    os.mkfifo(folder / "index.html")


def _other_files(folder):
    (folder / "thesis.tex").write_text("my own")


def _hidden_page(folder):
    _file(folder)
    (folder / ".git").mkdir()


@pytest.mark.parametrize(
    "fill",
    [
        *(_file, _link, _dangling, _link_to_a_page_of_ours, _folder, _pipe, _other_files),
        _hidden_page,
    ],
)
def test_a_folder_of_others_is_refused_and_stays_as_it_was(small_runtime, tmp_path, capsys, fill):
    folder = tmp_path / "site"
    folder.mkdir()
    fill(folder)
    before = {p: p.lstat().st_mtime_ns for p in tmp_path.rglob("*")}
    assert main(["demo", str(RELEASED), "--output", str(folder)]) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert str(folder) in said and "--output" in said
    assert {p: p.lstat().st_mtime_ns for p in tmp_path.rglob("*")} == before
    with pytest.raises(ValueError, match="`folder` must hold the page"), serve(folder, port=0):
        pass


def test_a_page_of_ours_is_written_again_beside_what_else_is_there(page):
    assert main(["demo", str(RELEASED), "--output", str(page.parent)]) == 0
    assert b"kd-keras demo" in page.read_bytes()
    assert (page.parent / "notes.txt").read_text() == "secret"
