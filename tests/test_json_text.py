"""JSON of strangers: read, or refused in words by whoever asked for it."""

import json
import re

import pytest

from kd_keras.experiments.data_identity import DATA, keep_or_refuse
from kd_keras.experiments.opening import open_run
from kd_keras.experiments.repair import damage_in
from kd_keras.experiments.stage_record import STAGES, DamagedError, StageRecord
from kd_keras.experiments.study import Study
from kd_keras.experiments.study.folder import RESULT, open_study, read_result
from kd_keras.experiments.study.grid import recipe_of_study
from kd_keras.json_text import parse_json, read_json
from kd_keras.recipes import Recipe, digits
from kd_keras.replay.manifest import MANIFEST, read_manifest
from kd_keras.replay.verified import NOTE, damaged
from kd_keras.report import Report, read_report
from kd_keras.whole_file import checksum


@pytest.fixture(autouse=True)
def _fresh_seeds():
    """Instead of the one for all tests, which clears Keras's session: no test here trains."""


def nested(depth, kind):
    return f'{{"a": {nested(depth - 1, "[")}}}' if kind == "{" else "[" * depth + "]" * depth


@pytest.mark.parametrize("text", ['{"a": [1, "é", null]}', "1", "[]", nested(101, "[")])
def test_json_is_read(text):
    assert parse_json(text) == json.loads(text)


@pytest.mark.parametrize("kind", "[{")
@pytest.mark.parametrize("depth", [102, 990, 100_000])
def test_what_is_nested_too_deeply_is_refused(depth, kind):
    with pytest.raises(ValueError, match="nested more than 100 levels deep"):
        parse_json(nested(depth, kind))


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 10**5])
def test_a_file_that_is_none_is_refused(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ValueError):
        read_json(tmp_path / "a.json")
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "b.json")


DEEP = [nested(200, "["), nested(990, "{"), nested(10**5, "[")]


@pytest.mark.parametrize("text", DEEP)
@pytest.mark.parametrize(
    ("read", "said"),
    [
        (Recipe.from_json, "A recipe must be JSON text"),
        (Report.from_json, "The text is no report"),
        (recipe_of_study, "The text is no study"),
    ],
)
def test_texts_are_refused_by_what_they_should_be(text, read, said):
    with pytest.raises(ValueError, match=f"{said}.*nested more than"):
        read(text)


@pytest.mark.parametrize("text", DEEP)
@pytest.mark.parametrize(
    ("file", "read", "error"),
    [
        ("report.json", lambda folder: read_report(folder / "report.json"), ValueError),
        (MANIFEST, read_manifest, ValueError),
        (DATA, lambda folder: keep_or_refuse(folder, {}, "Choose another."), ValueError),
        (STAGES, lambda folder: StageRecord(folder).stages(), DamagedError),
        ("recipe.json", lambda folder: open_run(folder, digits()).__enter__(), ValueError),
        ("study.json", lambda folder: open_study(folder, Study(recipe=digits())), ValueError),
        (RESULT, lambda folder: read_result(folder / RESULT), ValueError),
    ],
)
def test_files_are_refused_by_name(tmp_path, text, file, read, error):
    (tmp_path / file).write_text(text)
    with pytest.raises(error, match=f"{re.escape(file)}.*(nested|damaged)|nested.*{file}"):
        read(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [file]


@pytest.mark.parametrize("text", DEEP)
def test_the_checksums_of_an_earlier_version_are_damage(tmp_path, text):
    (tmp_path / "report.json").write_text("{}")
    (tmp_path / "export.json").write_text(text)
    assert [found.file for found in damage_in(tmp_path)] == ["export.json"]


def test_a_damaged_note_of_what_was_read_is_written_again(tmp_path):
    (tmp_path / NOTE).write_text(DEEP[-1])
    (tmp_path / "a.npy").write_bytes(b"rows")
    assert damaged(tmp_path, {tmp_path / "a.npy": checksum(tmp_path / "a.npy")}) is None
    assert list(read_json(tmp_path / NOTE)) == ["a.npy"]
