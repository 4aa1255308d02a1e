"""`export_presets`: files with labels and cards, figures that are those of the files, the plot."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from xml.etree import ElementTree

import keras
import numpy as np
import pytest
from rich.console import Console

from kd_keras import data, evaluate, export, jobs, models
from kd_keras.cli import main
from kd_keras.jobs.exporting import _claim
from kd_keras.report.pareto import pareto_front

PRESETS = ["none", "int8", "int16x8"]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def exported(data_dir, tmp_path_factory):
    """A student with random weights, exported as bytes-in files."""
    folder = tmp_path_factory.mktemp("exported")
    # Seeded: random weights would be those that the test before left, and some have closer calls.
    student = models.from_name("mlp8", input_shape=(8, 8, 1), num_classes=10, seed=1)
    student.save(folder / "student.keras")
    console = Console(file=io.StringIO(), width=80)
    exports = jobs.export_presets(
        folder / "student.keras",
        "digits",
        folder / "files",
        PRESETS,
        data_dir=data_dir,
        input_dtype="uint8",
        min_agreement=0.9,  # without training its answers are close calls
        examples=100,
        runs=5,
        command="kd-keras export student.keras",
        console=console,
    )
    return exports, student


def raising(error):
    def fail(*arguments, **options):
        raise error

    return fail


def test_the_figures_are_those_of_the_files(exported, data_dir):
    exports, student = exported
    splits = data.load("digits", data_dir=data_dir)
    keras_logits, labels = evaluate.predict_logits(student, splits.test)

    assert exports.keras_accuracy == evaluate.accuracy(keras_logits, labels)
    for file in exports.files:
        assert export.LiteModel(file.result.path).input_shape == (1, 8, 8, 1)
        logits, labels = export.predict(file.result.path, splits.test)
        assert file.accuracy == evaluate.accuracy(logits, labels)
        agreement = np.mean(logits.argmax(-1) == keras_logits.argmax(-1))
        assert file.agreement == pytest.approx(agreement, abs=1e-9)
        content = file.result.path.read_bytes()
        assert file.result.sha256 == hashlib.sha256(content).hexdigest()


def test_a_preset_that_cannot_take_bytes_keeps_float32(exported):
    exports, _ = exported
    taken = [export.LiteModel(file.result.path).input_dtype.name for file in exports.files]

    assert taken == ["uint8", "uint8", "float32"]


def test_each_file_holds_the_labels_and_has_a_card(exported):
    exports, _ = exported
    for file in exports.files:
        assert export.metadata.read(file.result.path).labels == tuple("0123456789")
        card = file.card.read_text(encoding="utf-8")
        assert file.result.sha256 in card and "kd-keras export student.keras" in card
        assert f"{100 * file.accuracy:.2f} %" in card
        assert f"TensorFlow Lite {file.result.minimum_runtime_version}," in card
        assert "\n\n\n" not in card
        (stored,) = file.result.stored_weights.items()
        assert f"| weights in the file | {stored[1]:,} {stored[0]} |" in card


def test_the_json_says_all_and_nothing_else_is_left(exported):
    exports, _ = exported
    said = json.loads((exports.folder / "exports.json").read_text(encoding="utf-8"))

    assert [each["preset"] for each in said["files"]] == PRESETS
    assert said["files"][1]["bytes"] == exports.files[1].result.path.stat().st_size
    assert said["files"][0]["latency_to_float32"] == 1.0
    assert list(said["files"][1]["stored_weights"]) == ["int8"]
    assert said["files"][1]["kept_float"] == []
    names = {
        f"student_{kind}{end}"
        for kind in ("float32", "int8", "int16x8")
        for end in (".tflite", ".md")
    }
    assert {path.name for path in exports.folder.iterdir()} == names | {
        "exports.json",
        "pareto.svg",
    }


def test_the_plot_names_every_preset(exported):
    exports, _ = exported
    picture = (exports.folder / "pareto.svg").read_text(encoding="utf-8")

    ElementTree.fromstring(picture)
    # matplotlib draws letters as outlines and leaves the words in comments.
    assert all(f"<!-- {word} -->" in picture for word in ("float32", "int8", "int16x8"))


def again(exported, folder, data_dir, *presets):
    return jobs.export_presets(
        exported[0].student,
        "digits",
        folder,
        presets,
        data_dir=data_dir,
        examples=100,
        runs=1,
        console=Console(file=io.StringIO()),
    )


@pytest.mark.parametrize("name", ["student_int8.tflite", "student_int8.md", "exports.json"])
def test_a_file_of_somebody_else_is_not_overwritten(exported, data_dir, tmp_path, name):
    (tmp_path / name).write_text('["mine"]')
    with pytest.raises(ValueError, match=f"{name}.*no file that `kd-keras export` wrote.*--output"):
        again(exported, tmp_path, data_dir, "int8")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, '["mine"]')]


def test_what_exports_wrote_is_written_again_whatever_became_of_them(
    exported, data_dir, tmp_path, monkeypatch
):
    """A killed export, an earlier one with other presets, and a plot that none of them wrote."""
    folder = shutil.copytree(exported[0].folder, tmp_path / "files")
    (folder / "pareto.svg").unlink()
    monkeypatch.setattr(export, "to_tflite", raising(KeyboardInterrupt()))
    for presets in (["dynamic"], ["int8"], ["int8", "dynamic"]):
        with pytest.raises(KeyboardInterrupt):
            again(exported, folder, data_dir, *presets)
        (folder / "student_dynamic.tflite").write_bytes(b"what a killed process left")
    assert json.loads((folder / "exports.json").read_text())["files"][0]["preset"] == "none"

    elsewhere = tmp_path / "one"
    with pytest.raises(KeyboardInterrupt):
        again(exported, elsewhere, data_dir, "int8")
    (elsewhere / "pareto.svg").write_text("mine")
    with pytest.raises(KeyboardInterrupt):
        again(exported, elsewhere, data_dir, "int8")
    with pytest.raises(ValueError, match=r"pareto\.svg' is no file that"):
        again(exported, elsewhere, data_dir, "none", "int8")


@pytest.mark.parametrize("name", ["exports.json", "student_int8.md"])
def test_nothing_is_written_through_a_link_that_leads_out(tmp_path, name):
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / name).symlink_to(tmp_path / "mine")
    with pytest.raises(ValueError, match=f"'{name}' in '.*theirs' is a link that leads out of it"):
        _claim(folder, ["student_int8.tflite", "student_int8.md"])
    assert list(folder.iterdir()) == [folder / name] and not (tmp_path / "mine").exists()


def test_files_of_an_export_that_noted_no_names_are_its_own(exported, tmp_path):
    folder = tmp_path / "files"
    shutil.copytree(exported[0].folder, folder)
    results = json.loads((folder / "exports.json").read_text())
    del results["kd_keras_exports"]
    (folder / "exports.json").write_text(json.dumps(results))
    claimed = _claim(folder, ["student_int8.tflite", "student_int8.md", "pareto.svg"])
    assert set(claimed) == {path.name for path in folder.iterdir()} - {"exports.json"}
    (folder / "exports.json").write_text(json.dumps({"files": results["files"]}))
    with pytest.raises(ValueError, match=r"exports\.json' is no file that `kd-keras export` wrote"):
        _claim(folder, ["student_int8.tflite"])


@pytest.mark.parametrize(
    ("points", "front"),
    [
        ([(1, 0.9)], {0}),
        ([(1, 0.9), (2, 0.9), (2, 0.95), (1, 0.8)], {0, 2}),
        ([(1, 0.9), (1, 0.9)], {0, 1}),
    ],
)
def test_the_front_is_what_no_other_beats(points, front):
    assert pareto_front(points) == front


def test_a_student_of_other_data_is_refused(data_dir, tmp_path):
    models.from_name("mlp8", input_shape=(8, 8, 1), num_classes=3).save(tmp_path / "student.keras")

    with pytest.raises(ValueError, match=r"`student` must fit the data.*10 classes.*student .*3"):
        jobs.export_presets(
            tmp_path / "student.keras", "digits", tmp_path / "files", data_dir=data_dir
        )
    assert not (tmp_path / "files").exists()


def test_the_output_with_the_classes_is_named_on_the_command_line(data_dir, tmp_path):
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Flatten()(inputs)
    heads = {name: keras.layers.Dense(10, name=name)(x) for name in ("other", "logits")}
    keras.Model(inputs, heads).save(tmp_path / "two.keras")
    call = ["export", tmp_path / "two.keras", "--data", "digits", "--data-dir", data_dir]
    call += ["--preset", "none", "--probabilities", "--runs", "1"]

    assert main([*map(str, call), "--classes-output", "logits"]) == 0

    file = export.metadata.read(tmp_path / "exports" / "two_float32.tflite")
    assert (file.labelled_output, file.outputs) == ("probabilities", "probabilities")
