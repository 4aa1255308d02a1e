"""A file that a command writes takes no other's place: what was mistyped is refused, and stays."""

import os

import pytest

from kd_keras.folders import refuse_foreign_json
from kd_keras.recipes import digits

FILE = ["student.tflite"]


@pytest.fixture(autouse=True)
def _fresh_seeds():
    """Instead of the one for all tests, which clears Keras's session: no test here trains."""


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["losses", "--json"], "notes.json"),
        (["benchmark", *FILE, "--json"], "other.tflite"),
        (["verify", *FILE, "--data", "digits", "--json"], "verify.json"),
        (["policies", "digits", "--output"], "ranking.json"),
        (["policies", "digits", "--output"], "ranking.csv"),
    ],
)
def test_a_foreign_file_is_refused_before_any_work(command, tmp_path, arguments, name):
    path = tmp_path / name
    path.write_text("mine")
    done = command(*arguments, path)
    assert done.code == 1
    assert f"is no file that `kd-keras {arguments[0]}` wrote, and is not overwritten" in done.err
    assert f"choose another with {arguments[-1]}" in done.err
    assert path.read_text() == "mine" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("before", [None, "", '{\n  "command": "kd-keras losses --json x",\n'])
def test_an_own_or_empty_file_is_written_again(command, tmp_path, before):
    path = tmp_path / "losses.json"
    if before is not None:
        path.write_text(before)
    assert command("losses", "--json", path).code == 0
    written = path.read_text()
    assert command("losses", "--json", path).code == 0
    assert path.read_text() == written


def test_json_of_another_command_is_foreign(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"command": "kd-keras verify a.tflite"}')
    refuse_foreign_json(path, "verify", "--json")
    with pytest.raises(ValueError, match="`kd-keras benchmark` wrote"):
        refuse_foreign_json(path, "benchmark", "--json")


@pytest.mark.skipif(os.name != "posix", reason="Windows asks for a right to make links")
@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["distill", "digits"], "report.html"),
        (["distill", "digits", "--fresh"], "history.csv"),
        (["study", "digits"], "study_report.html"),
        (["study", "digits"], "cells"),
        (["views", "digits", "--policy", "none"], "views_none.png"),
    ],
)
def test_nothing_is_written_through_a_link_in_a_folder_of_a_stranger(
    command, tmp_path, arguments, name, exists
):
    folder, outside = tmp_path / "theirs", tmp_path / "mine"
    folder.mkdir()
    if exists:
        outside.write_text("mine")
    (folder / name).symlink_to(outside)
    if arguments[0] == "distill":
        (folder / "recipe.json").write_text(digits().to_json())
    done = command(*arguments, "--data-dir", tmp_path / "data", "--output", folder)
    assert done.code == 1 and f"{name!r} in {str(folder)!r} is a link that leads out" in done.err
    assert {path.name for path in folder.iterdir()} <= {name, "recipe.json"}
    assert outside.read_text() == "mine" if exists else not outside.exists()
