"""The ranking of teachers by a short probe, through the command and from Python, on the digits."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from kd_keras import data, models
from kd_keras.cli import main
from kd_keras.cli.teachers import explained
from kd_keras.experiments import probing
from kd_keras.jobs import rank_teachers
from kd_keras.jobs.choosing import TeacherRanking, TeacherScore

STEPS, BATCH, RATE = 80, 32, 0.01
SMALL = {"probe_steps": STEPS, "batch_size": BATCH, "learning_rate": RATE}


@pytest.fixture(scope="module")
def candidates(tmp_path_factory):
    """One training, kept at its beginning, after an epoch and at its end; and a twin in [0, 1]."""
    folder = tmp_path_factory.mktemp("candidates")
    (folder / "raw").mkdir()
    (folder / "twin").mkdir()
    network = models.mlp((8, 8, 1), 10, hidden=(32,), seed=0)
    network.save(folder / "raw" / "0.keras")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.Adam(0.01), loss)
    network.fit(
        data.load("digits").training(),
        epochs=8,
        steps_per_epoch=9,
        verbose=0,
        shuffle=False,
        callbacks=[keras.callbacks.ModelCheckpoint(folder / "raw" / "{epoch}.keras")],
    )
    images = keras.Input((8, 8, 1))
    logits = network(keras.layers.Rescaling(255.0)(images))
    keras.Model(images, keras.layers.Softmax()(logits)).save(folder / "twin" / "8.keras")
    return folder


@pytest.fixture(scope="module")
def told(candidates):
    """The JSON of a ranking, and what was printed."""
    files = [candidates / name for name in ("raw/0.keras", "raw/1.keras", "raw/8.keras")]
    report = candidates / "ranking.json"
    options = [f"--{name.replace('_', '-')}={value}" for name, value in SMALL.items()]
    arguments = ["teachers", "digits", *files, candidates / "twin" / "8.keras", *options]
    arguments += ["--student", "mlp16", "--json", report]
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert main([*map(str, arguments)]) == 0
    return json.loads(report.read_text()), " ".join(out.getvalue().split())


@pytest.fixture(scope="module")
def rows(told):
    return {row["name"]: row for row in told[0]["teachers"]}


@pytest.fixture(scope="module")
def validation():
    """Images, as networks take them, and labels of the validation split."""
    batches = [*data.load("digits").validation]
    images, labels = (np.concatenate(part) for part in zip(*batches, strict=True))
    return images.astype("float32"), labels


def test_snapshots_come_best_first_under_names_that_tell_them_apart(told, rows):
    assert {*list(rows)[:2]} == {"raw/8.keras", "twin/8.keras"}
    assert list(rows)[2:] == ["raw/1.keras", "raw/0.keras"]
    students = [row["student_accuracy"] for row in rows.values()]
    assert students == sorted(students, reverse=True)
    assert students[0] > students[2] + 0.1
    assert told[0]["by_own_accuracy"][2:] == ["raw/1.keras", "raw/0.keras"]


def test_a_softmax_on_images_in_0_to_1_is_its_twin_on_raw_ones(rows):
    teacher, twin = rows["raw/8.keras"], rows["twin/8.keras"]
    assert teacher["value_range"] == [0, 255]
    assert twin["value_range"] == [0, 1]
    for field, value in teacher.items():
        if field not in ("teacher", "name", "value_range", "seconds"):
            assert twin[field] == pytest.approx(value, rel=1e-4, abs=0.01), field


def test_what_is_said_of_a_teacher_is_what_numpy_says(rows, candidates, validation):
    images, labels = validation
    network = keras.models.load_model(candidates / "raw" / "8.keras")
    logits = network.predict(images, verbose=0).astype("float64")
    soft = np.exp(logits / 4.0) / np.exp(logits / 4.0).sum(axis=1, keepdims=True)
    sharp = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    row = rows["raw/8.keras"]
    assert row["soft_entropy"] == pytest.approx(-(soft * np.log(soft)).sum(axis=1).mean(), rel=1e-4)
    assert row["soft_rest"] == pytest.approx(1 - soft.max(axis=1).mean(), rel=1e-4)
    assert row["nll"] == pytest.approx(-np.log(sharp[range(300), labels]).mean(), rel=1e-4)
    assert row["accuracy"] == pytest.approx(np.mean(logits.argmax(axis=1) == labels))
    assert row["parameters"] == 64 * 32 + 32 + 32 * 10 + 10
    assert row["capacity_ratio"] == row["parameters"] / (64 * 16 + 16 + 16 * 10 + 10)


def test_a_probe_is_a_loop_by_hand_without_labels(rows, candidates, validation):
    teacher = keras.models.load_model(candidates / "raw" / "8.keras")
    student = models.mlp((8, 8, 1), 10, hidden=(16,), seed=0)
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(RATE, STEPS))
    optimizer.build(student.trainable_variables)
    splits = data.load("digits", batch_size=BATCH, seed=0)

    @tf.function
    def step(images):
        images = tf.cast(images, "float32")
        target = tf.nn.log_softmax(teacher(images) / 4.0)
        with tf.GradientTape() as tape:
            difference = target - tf.nn.log_softmax(student(images) / 4.0)
            loss = 16.0 * tf.reduce_mean(tf.reduce_sum(tf.exp(target) * difference, axis=1))
        optimizer.apply(tape.gradient(loss, student.trainable_variables))

    for images, _ in splits.training().take(STEPS):
        step(images)
    images, labels = validation
    answers, taught = (
        network.predict(images, verbose=0).argmax(axis=1) for network in (student, teacher)
    )
    row = rows["raw/8.keras"]
    # A close call may fall the other way.
    assert row["student_accuracy"] == pytest.approx(np.mean(answers == labels), abs=1 / 300)
    assert row["agreement"] == pytest.approx(np.mean(answers == taught), abs=1 / 300)


def test_a_teacher_has_the_same_figures_whoever_else_is_a_candidate(rows, candidates):
    path = candidates / "raw" / "8.keras"
    ranking = rank_teachers("digits", [path], "mlp16", teacher_value_range=(0, 255), **SMALL)
    (score,) = ranking.scores
    assert (score.teacher, score.name, score.value_range) == (str(path), "8.keras", (0, 255))
    for field in dataclasses.fields(TeacherScore):
        if field.name not in ("teacher", "name", "value_range", "seconds"):
            assert getattr(score, field.name) == rows["raw/8.keras"][field.name], field.name


def test_the_tables_and_the_json_hold_everything(told, rows):
    found, shown = told
    assert found["command"].startswith("kd-keras teachers digits 0.keras 1.keras")
    for field in dataclasses.fields(TeacherRanking):
        assert field.name == "scores" or field.name in found
    for row in rows.values():
        assert list(row) == [field.name for field in dataclasses.fields(TeacherScore)]
        assert row["teacher"] == row["name"][-7:]  # where it lies is nobody's business
        assert f"{100 * row['student_accuracy']:.2f} %" in shown
        assert f"{row['soft_entropy']:.3f}" in shown
    for line in found["explained"]:
        assert line in shown
    assert "To go on: kd-keras distill digits --teacher" in shown


def score(name, student_accuracy, **fields):
    plain = {field.name: 0.5 for field in dataclasses.fields(TeacherScore)}
    told = {"teacher": name, "name": name, "value_range": None}
    return TeacherScore(**{**plain, **told, "student_accuracy": student_accuracy, **fields})


def ranked(*scores):
    return TeacherRanking(
        *("digits", 10, 400, "mlp16", 100, STEPS, 4.0, "none", BATCH, RATE, 0), scores
    )


def test_it_is_said_where_the_most_accurate_teacher_is_not_the_best():
    small = score("small", 0.8, accuracy=0.9, capacity_ratio=3.0, soft_entropy=1.25, ece=0.01)
    large = score("large", 0.5, accuracy=0.95, capacity_ratio=40.0, soft_entropy=0.5, ece=0.04)
    order, why = explained(ranked(small, large))
    assert order == "By the teachers' own accuracy the order would be: large, small."
    for words in ("large is the most accurate", "30.00 points", "40.00", "3.00", "0.500", "1.250"):
        assert words in why

    (same,) = explained(ranked(small, dataclasses.replace(large, accuracy=0.85)))
    assert same == "By the teachers' own accuracy the order would be the same."


def test_what_may_be_chance_is_called_so():
    first = score("a", 0.8, accuracy=0.9)
    # Two standard errors of 80 % of 400 are 4 points.
    near, far = score("b", 0.77, accuracy=0.8), score("c", 0.75, accuracy=0.7)
    assert "1 of the others is within 4.00 points" in explained(ranked(first, near, far))[-1]
    assert "order says nothing" in explained(ranked(score("a", 0.1), score("b", 0.1)))[-1]


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    path = tmp_path_factory.mktemp("other") / "seven.keras"
    models.mlp((8, 8, 1), 7, hidden=(4,), seed=0).save(path)
    return path


def test_a_teacher_of_other_classes_is_named_before_anything_is_trained(
    candidates, other, command, monkeypatch
):
    monkeypatch.setattr(probing, "probe", None)
    monkeypatch.setattr(probing, "ask", None)
    files = (candidates / "raw" / "8.keras", other)
    done = command("teachers", "digits", *files, "--student", "mlp16")
    assert done.code == 1
    assert "'digits' has 10" in done.err
    assert f"teacher={str(other)!r} with 7 outputs" in done.err


def test_a_teacher_that_answers_nan_is_named(candidates, tmp_path):
    network = keras.models.load_model(candidates / "raw" / "8.keras")
    network.set_weights([weights * np.nan for weights in network.get_weights()])
    network.save(tmp_path / "broken.keras")
    with pytest.raises(ValueError, match=r"'broken\.keras' cannot be judged.*NaN"):
        rank_teachers("digits", [tmp_path / "broken.keras"], "mlp16")


@pytest.mark.parametrize(
    ("teachers", "options", "message"),
    [
        (["m.py:build", "./m.py:build"], {}, "name each network once.*m.py:build. twice"),
        ([], {}, r"`teachers` must be a list.*`kd-keras distill digits` trains one"),
        ("t.keras", {}, r"`teachers` must be a list.*teachers='t\.keras'"),
        (["resnet20"], {}, "must be trained networks.*Received: 'resnet20'.*distill digits"),
        (["gone.keras"], {}, r"`teachers` must be a \.keras file that exists.*'gone\.keras'"),
        (["m.py:build"], {"probe_steps": 0}, "`probe_steps` must be an integer >= 1"),
        (["m.py:build"], {"temperature": 0}, "`temperature` must be"),
    ],
)
def test_what_cannot_be_is_refused_before_tensorflow_starts(
    teachers, options, message, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        rank_teachers("digits", teachers, "mlp16", **options)


def test_data_with_a_class_for_every_pixel_are_refused_by_name(candidates):
    with pytest.raises(ValueError, match=r"one class for each example.*'blobs'.*segmentation"):
        rank_teachers("blobs", [candidates / "raw" / "8.keras"], "unet4")


def test_a_foreign_file_is_not_overwritten(tmp_path, command):
    path = tmp_path / "notes.json"
    path.write_text("mine")
    done = command("teachers", "digits", "a.keras", "--student", "mlp16", "--json", path)
    assert done.code == 1
    assert "is no file that `kd-keras teachers` wrote, and is not overwritten" in done.err
    assert path.read_text() == "mine"


def test_help_teaches(command):
    done = command("teachers", "--help")
    text = " ".join(done.out.replace("│", " ").split())
    for words in ("1910.01348", "without labels", "--student", "--own-module", "snapshot{epoch}"):
        assert words in text
    assert command("teachers", "digits", "--student", "mlp16").code == 2
