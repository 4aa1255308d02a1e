"""A recording as files: how large, by whom, what is refused, and what a check finds."""

import json
import pathlib
import shutil
import signal
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import kd_keras
from kd_keras.cli import main
from kd_keras.replay import ReplayTeacher, check, record
from kd_keras.whole_file import checksum
from tests import processes
from tests.replay.conftest import EPOCHS, network, policy


@pytest.fixture
def copy(folder, tmp_path):
    return pathlib.Path(shutil.copytree(folder, tmp_path / "copy"))


def rows(path):
    return np.concatenate([np.load(file) for file in sorted(path.glob("epoch-*.npy"))])


def test_a_view_takes_4_plus_4k_bytes_and_the_header_of_its_file(teacher, splits, folder, tmp_path):
    record(teacher, splits, tmp_path, epochs=1, k=3, augmentation=policy(), steps_per_shard=3)
    for path, per_view, epochs in ((tmp_path, 4 + 4 * 3, 1), (folder, 4 + 2 * 10, EPOCHS)):
        sizes = [file.stat().st_size for file in path.glob("epoch-*.npy")]
        assert len(sizes) == 3 * epochs
        assert sum(sizes) == 500 * epochs * per_view + len(sizes) * 192
    some, every = rows(tmp_path), rows(folder)[:500]
    np.testing.assert_array_equal(
        every["log_probabilities"][np.arange(500)[:, None], some["classes"]],
        some["log_probabilities"],
    )
    assert (every["log_probabilities"].max(axis=1) == some["log_probabilities"][:, 0]).all()


def test_more_epochs_are_added_and_nothing_is_written_again(teacher, splits, folder, copy):
    before = {file.name: file.stat().st_mtime_ns for file in copy.glob("epoch-*.npy")}
    steps = []
    longer = record(
        teacher,
        splits,
        copy,
        epochs=EPOCHS + 1,
        augmentation=policy(),
        steps_per_shard=3,
        progress=steps.append,
    )
    assert steps == list(range(1, 9))
    after = {file.name: file.stat().st_mtime_ns for file in copy.glob("epoch-*.npy")}
    assert after.items() >= before.items() and len(after) == len(before) + 3
    assert ReplayTeacher(copy).epochs == EPOCHS + 1 and longer.missing() == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"k": 3}, "k is 10 there and 3 here"),
        ({"augmentation": lambda: policy(seed=9)}, r"config\.seed is 3 there and 9 here"),
        ({"augmentation": lambda: None}, "augmentation is .* there and .. here"),
        ({"steps_per_shard": 4}, "steps_per_shard is 3 there and 4 here"),
        ({"teacher": lambda: network(7, 32)}, "teacher.fingerprint is "),
        ({"data": "seed"}, "order.seed is 0 there and 1 here"),
    ],
)
def test_a_folder_keeps_to_one_recording(teacher, splits, load, folder, change, said):
    before = (folder / "manifest.json").read_text()
    arguments = {"augmentation": policy(), "steps_per_shard": 3}
    arguments.update({name: v() if callable(v) else v for name, v in change.items()})
    data = load(seed=1) if arguments.pop("data", None) else splits
    with pytest.raises(ValueError, match=f"holds another recording: .*{said}"):
        record(arguments.pop("teacher", teacher), data, folder, epochs=EPOCHS, **arguments)
    assert (folder / "manifest.json").read_text() == before


def test_what_cannot_be_replayed_is_refused_by_name(teacher, splits, tmp_path):
    augment = kd_keras.augment
    for augmentation, said in (
        (augment.Pick(policy()), "Pick asks the live teacher"),
        (augment.Feedback({"none": None, "noise": augment.GaussianNoise()}), "Feedback follows"),
        (keras.layers.RandomFlip(), "seeded to be replayed"),
    ):
        with pytest.raises(ValueError, match=said):
            record(teacher, splits, tmp_path, epochs=1, augmentation=augmentation)
    dense = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(10, 1)])
    with pytest.raises(ValueError, match="one tensor .batch, classes."):
        record(dense, splits, tmp_path, epochs=1)
    binary = keras.Sequential(
        [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(1)]
    )
    with pytest.raises(ValueError, match="two classes or more"):
        record(binary, splits, tmp_path, epochs=1)
    labels = keras.Sequential(
        [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(3, "sigmoid")]
    )
    with pytest.raises(ValueError, match="ends in a sigmoid. Distil with the live teacher"):
        record(labels, splits, tmp_path, epochs=1)
    with pytest.raises(ValueError, match="`teacher` must be a keras.Model"):
        record(np.ones, splits, tmp_path, epochs=1)
    with pytest.raises(ValueError, match="whose every iteration is in the same order"):
        record(teacher, np.zeros((4, 8, 8, 1)), tmp_path, epochs=1)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(ValueError, match=r"holds no recording.*thesis\.tex"):
        record(teacher, splits, tmp_path, epochs=1)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_teacher_of_other_inputs_and_classes_is_recorded_as_it_teaches(splits, tmp_path):
    keras.utils.set_random_seed(0)
    large = keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(12, activation="softmax"),
        ]
    )
    frozen = kd_keras.teachers.Frozen(
        large, inputs=keras.layers.Resizing(4, 4), classes=[11, *range(9)]
    )
    recording = record(frozen, splits, tmp_path / "labels", epochs=1)

    images = tf.concat([x for x, _ in splits.training().take(splits.steps_per_epoch)], 0)
    rows = np.concatenate([np.load(recording.file(shard)) for shard in recording.shards()])
    # In a graph, as in `fit`: eagerly Keras's Resizing rounds to whole pixels.
    expected = keras.ops.log_softmax(tf.function(frozen)(images))
    np.testing.assert_allclose(rows["log_probabilities"], expected, atol=2e-3)
    assert kd_keras.replay.check(frozen, splits, tmp_path / "labels").other_views == 0


def test_an_unfinished_or_damaged_recording_is_refused_and_mended(teacher, splits, folder, copy):
    path = copy / "epoch-00001-part-0001.npy"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match="part-0001.npy' is damaged"):
        ReplayTeacher(copy)
    path.unlink()
    with pytest.raises(ValueError, match="not finished: 1 of 9 files are missing"):
        ReplayTeacher(copy)
    record(teacher, splits, copy, epochs=EPOCHS, augmentation=policy(), steps_per_shard=3)
    ReplayTeacher(copy)
    np.testing.assert_array_equal(rows(copy), rows(folder))
    with pytest.raises(ValueError, match="There is no recording at"):
        ReplayTeacher(copy / "elsewhere")


def test_shares_together_are_the_whole(teacher, splits, folder, tmp_path):
    for share, missing in (((1, 2), 4), ((2, 2), 0)):
        part = record(
            teacher,
            splits,
            tmp_path,
            epochs=EPOCHS,
            augmentation=policy(),
            steps_per_shard=3,
            share=share,
        )
        assert len(part.missing()) == missing
    np.testing.assert_array_equal(rows(tmp_path), rows(folder))


def test_a_check_finds_labels_that_are_not_the_teachers(teacher, splits, folder, copy):
    good = check(teacher, splits, folder, batches=6)
    assert (good.other_views, good.other_classes) == (0, 0)
    assert good.views > 300 and 0 < good.largest_difference < 1e-3
    with pytest.raises(ValueError, match="is not the one that"):
        check(network(7, 32), splits, folder)
    # Files that are whole, and wrong: the labels of one view stand at another.
    manifest = json.loads((copy / "manifest.json").read_text())
    for entry in manifest["shards"]:
        found = np.load(copy / entry["file"])
        found["log_probabilities"] = np.roll(found["log_probabilities"], 1, axis=0)
        np.save(copy / entry["file"], found)
        entry["sha256"] = checksum(copy / entry["file"])
    del manifest["sha256"]
    (copy / "manifest.json").write_text(json.dumps(manifest))
    bad = check(teacher, splits, copy, batches=6)
    assert bad.other_views == 0 and bad.mean_difference > 0.05
    assert bad.other_classes > bad.views / 2


@pytest.mark.slow
def test_the_command_records_checks_and_says_what_is_wrong(teacher, data_dir, tmp_path, capsys):
    teacher.save(tmp_path / "teacher.keras")
    output = tmp_path / "labels"
    common = [
        *("digits", "--teacher", tmp_path / "teacher.keras", "--data-dir", data_dir),
        *("--output", output, "--batch-size", 64, "--limit", 500),
    ]

    def command(*arguments):
        status = main(["record", *map(str, [*common, *arguments])])
        captured = capsys.readouterr()
        return status, " ".join((captured.out + captured.err).split())

    status, said = command("--policy", "none", "--epochs", 1, "--top", 3)
    assert status == 0 and "500 views of 16 bytes, 8,192 bytes in 1 files" in said
    status, said = command("--check", "--batches", 2)
    assert status == 0 and "0 are of other images or of another place" in said
    assert command("--check", "--batches", 2, "--tolerance", 0)[0] == 3
    status, said = command("--check", "--seed", 1)
    assert status == 1 and "order.seed is 0 there and 1 here" in said


SCRIPT = """
import os, pathlib, signal, sys, time
from kd_keras.replay import record
from tests.replay.conftest import policy
import keras, kd_keras

folder, teacher, data_dir, dies_after = sys.argv[1:]
splits = kd_keras.data.load("digits", data_dir=data_dir, batch_size=64, limit=500)
begun = []

def progress(done):
    if done == int(dies_after):
        os.kill(os.getpid(), signal.SIGKILL)
    # Two processes that share the work are to meet.
    begun.append(done)
    time.sleep(0.2)

model = keras.models.load_model(teacher)
beside = pathlib.Path(folder).parent
(beside / f"ready-{os.getpid()}").touch()
while dies_after == "-1" and len(list(beside.glob("ready-*"))) < 3:
    time.sleep(0.05)
record(model, splits, folder, epochs=3, augmentation=policy(), steps_per_shard=3, progress=progress)
print(len(begun))
"""


@pytest.mark.slow
def test_a_killed_recording_loses_one_shard_and_two_processes_share_the_rest(
    teacher, folder, data_dir, tmp_path
):
    teacher.save(tmp_path / "teacher.keras")
    path = tmp_path / "labels"

    def start(dies_after):
        arguments = [path, tmp_path / "teacher.keras", data_dir, dies_after]
        return processes.Process(SCRIPT, *arguments)

    assert start(10).end() == -signal.SIGKILL
    # Ten batches were labelled; epoch 0 has 3 + 3 + 2, and what was begun of epoch 1 is lost.
    assert len(list(path.glob("epoch-*.npy"))) == 3
    with pytest.raises(ValueError, match="not finished: 6 of 9"):
        ReplayTeacher(path)
    pair = [start(-1) for _ in range(2)]
    batches = [int(process.printed().split()[-1]) for process in pair]
    assert sum(batches) == 16 and min(batches) > 0
    np.testing.assert_array_equal(rows(path), rows(folder))
    ReplayTeacher(path)


@pytest.mark.slow
def test_a_beam_pipeline_writes_the_same_rows(teacher, folder, data_dir, tmp_path):
    pytest.importorskip("apache_beam", reason="needs the extra `beam`")
    teacher.save(tmp_path / "teacher.keras")
    load = _Load(str(data_dir))
    recording = kd_keras.replay.record_on_beam(
        tmp_path / "teacher.keras",
        load,
        tmp_path / "labels",
        epochs=EPOCHS,
        augmentation=policy(),
        steps_per_shard=3,
    )
    assert recording.missing() == []
    np.testing.assert_array_equal(rows(tmp_path / "labels"), rows(folder))


class _Load:
    """What a worker calls for its data."""

    def __init__(self, data_dir):
        self.data_dir = data_dir

    def __call__(self):
        return kd_keras.data.load("digits", data_dir=self.data_dir, batch_size=64, limit=500)


def test_without_beam_the_remedy_is_named(teacher, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(ImportError, match=r"kd-keras\[beam\]"):
        kd_keras.replay.record_on_beam(tmp_path / "teacher.keras", lambda: None, tmp_path, epochs=1)


@pytest.mark.slow
def test_two_replicas_train_as_one_device_and_know_their_rows(folder, data_dir):
    script = pathlib.Path(__file__).with_name("replicas_script.py")
    found = json.loads(processes.run(script, folder, data_dir).splitlines()[-1])
    np.testing.assert_allclose(found["two"], found["one"], rtol=1e-5)
    assert "is not the one that was recorded" in found["error"]
