"""Whose a folder is, who works in it, and what may be deleted in it."""

import dataclasses
import os
import signal
import subprocess
import sys

import pytest

from kd_keras.experiments import open_run
from kd_keras.experiments.opening import is_finished
from kd_keras.recipes import digits

RECIPE = digits()
OTHER = dataclasses.replace(RECIPE, temperature=9.0, epochs=77)


def begin(path, recipe=RECIPE, fresh=False):
    with open_run(path, recipe, fresh) as folder:
        folder.begin(fresh)


def test_a_new_folder_is_created_with_its_parents_and_gets_the_recipe(tmp_path):
    begin(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b" / "recipe.json").read_text() == RECIPE.to_json()


def test_the_same_recipe_may_come_back(tmp_path):
    begin(tmp_path / "run")
    (tmp_path / "run" / "teacher.keras").write_text("trained")
    begin(tmp_path / "run")
    assert (tmp_path / "run" / "teacher.keras").read_text() == "trained"


def test_another_recipe_is_refused_with_the_fields_that_differ_and_the_remedies(tmp_path):
    begin(tmp_path / "run")
    with pytest.raises(ValueError) as caught:
        begin(tmp_path / "run", OTHER)
    text = str(caught.value)
    assert f"temperature is {RECIPE.temperature!r} there and 9.0 here" in text
    assert f"epochs is {RECIPE.epochs!r} there and 77 here" in text
    assert "learning_rate" not in text
    assert "--fresh" in text
    assert "--output" in text
    assert (tmp_path / "run" / "recipe.json").read_text() == RECIPE.to_json()


def test_fresh_replaces_a_run_of_another_recipe_and_keeps_what_is_not_of_a_run(tmp_path):
    path = tmp_path / "run"
    begin(path)
    of_a_run = (
        "teacher.keras",
        "student_alone.keras",
        "student.keras",
        "checkpoint_student.npz",
        "student_float32.tflite",
        "student_int8.tflite",
        "history.csv",
        "report.html",
        "report.csv",
        "report.json",
        ".partial-123-abcd-teacher.keras",
        ".partial-123-abcd-student_int8.tflite",
    )
    for name in (*of_a_run, "notes.txt"):
        (path / name).write_text("x")
    begin(path, OTHER, fresh=True)
    assert sorted(p.name for p in path.iterdir()) == [".lock", "notes.txt", "recipe.json"]
    assert (path / "recipe.json").read_text() == OTHER.to_json()


def test_fresh_deletes_nothing_before_the_run_begins(tmp_path):
    begin(tmp_path / "run")
    (tmp_path / "run" / "teacher.keras").write_text("trained")
    with open_run(tmp_path / "run", OTHER, fresh=True):
        pass
    assert (tmp_path / "run" / "teacher.keras").exists()
    assert (tmp_path / "run" / "recipe.json").read_text() == RECIPE.to_json()


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("name", ["thesis.tex", "recipe.json"])
def test_a_folder_of_something_else_is_refused_and_left_alone(tmp_path, fresh, name):
    (tmp_path / name).write_text('{"flour": "500 g"}')
    with pytest.raises(ValueError, match="--output"):
        begin(tmp_path, fresh=fresh)
    assert (tmp_path / name).read_text() == '{"flour": "500 g"}'


def test_an_empty_folder_may_be_fresh(tmp_path):
    begin(tmp_path, fresh=True)
    assert (tmp_path / "recipe.json").exists()


def test_a_recipe_of_a_newer_version_is_refused_and_may_be_replaced(tmp_path):
    begin(tmp_path)
    newer = RECIPE.to_json().replace('"kd_keras_recipe": 1', '"kd_keras_recipe": 99')
    (tmp_path / "recipe.json").write_text(newer)
    with pytest.raises(ValueError, match="cannot be read as a recipe.*--fresh"):
        begin(tmp_path)
    begin(tmp_path, fresh=True)
    assert (tmp_path / "recipe.json").read_text() == RECIPE.to_json()


@pytest.mark.parametrize("text", [b"", b"{", b'{"kd_keras_recipe": 1,', b"\xff\xfe"])
def test_a_damaged_recipe_is_refused_and_may_be_replaced_as_the_error_says(tmp_path, text):
    begin(tmp_path)
    (tmp_path / "recipe.json").write_bytes(text)
    (tmp_path / "teacher.keras").write_text("trained")
    with pytest.raises(ValueError, match="cannot be read as a recipe.*--fresh"):
        begin(tmp_path)
    begin(tmp_path, fresh=True)
    assert (tmp_path / "recipe.json").read_text() == RECIPE.to_json()
    assert not (tmp_path / "teacher.keras").exists()


def test_a_damaged_recipe_among_files_of_others_is_left_alone_as_the_error_says(tmp_path):
    (tmp_path / "recipe.json").write_text("{")
    (tmp_path / "thesis.tex").write_text("x")
    for fresh in (False, True):
        with pytest.raises(ValueError, match="--output") as caught:
            begin(tmp_path, fresh=fresh)
        assert "--fresh" not in str(caught.value)
    assert (tmp_path / "recipe.json").read_text() == "{"


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    # Not by permissions, which do not stop root.
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"cannot be written.*output=.*file.*--output"):
        begin(tmp_path / "file" / "run")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_folder_that_was_created_for_a_run_that_never_began_goes_again(tmp_path):
    with pytest.raises(RuntimeError), open_run(tmp_path / "a" / "b", RECIPE):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_two_processes_do_not_share_a_folder(tmp_path):
    with (
        open_run(tmp_path, RECIPE),
        pytest.raises(ValueError, match=f"process \\(id {os.getpid()}\\).*--output"),
        open_run(tmp_path, RECIPE),
    ):
        pass
    begin(tmp_path)


def test_the_lock_of_a_killed_process_does_not_block(tmp_path):
    code = (
        "import sys, time; sys.argv = ['kd-keras']\n"
        "from kd_keras.recipes import digits\n"
        "from kd_keras.experiments import open_run\n"
        f"with open_run({str(tmp_path)!r}, digits()) as folder:\n"
        "    folder.begin(); print('open', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "open\n"
        with pytest.raises(ValueError, match=f"id {other.pid}"):
            begin(tmp_path)
        other.send_signal(signal.SIGKILL)
    begin(tmp_path)


def test_a_run_is_finished_when_its_report_is_there_and_the_recipe_is_the_same(tmp_path):
    assert not is_finished(tmp_path / "nowhere", RECIPE)
    begin(tmp_path)
    assert not is_finished(tmp_path, RECIPE)
    (tmp_path / "report.json").write_text("{}")
    assert is_finished(tmp_path, RECIPE)
    assert not is_finished(tmp_path, OTHER)
