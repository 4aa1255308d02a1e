"""The ranking of policies by the teacher alone, on the embedded digits."""

import keras
import numpy as np
import pytest

from kd_keras import data, models
from kd_keras.augment import named
from kd_keras.evaluate.view_quality import label_views, mean_probabilities, window_stddev
from kd_keras.jobs import rank_policies
from kd_keras.jobs.ranking import PolicyScore
from kd_keras.jobs.teacher import load_teacher, teacher_file

SMALL = {"batch_size": 16, "window": 2, "windows": 3, "repeats": 2}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    path = tmp_path_factory.mktemp("teacher") / "teacher.keras"
    models.mlp((8, 8, 1), 10, hidden=(8,), seed=0).save(path)
    return path


@pytest.fixture(scope="module")
def ranking(teacher):
    return rank_policies("digits", ["none", "noise", "mixup"], teacher=teacher, **SMALL)


@pytest.mark.slow
def test_policies_come_best_first_with_their_errors_and_costs(ranking):
    values = [score.stddev for score in ranking.scores]
    assert values == sorted(values) and min(values) > 0
    assert {score.policy for score in ranking.scores} == {"none", "noise", "mixup"}
    for score in ranking.scores:
        assert score.stddev == pytest.approx(np.mean(score.values))
        error = np.std(score.values, ddof=1) / np.sqrt(2)
        assert score.standard_error == pytest.approx(error)
        assert score.teacher_batches == ranking.shared_batches == 6
        assert score.seconds > 0


@pytest.mark.slow
def test_a_repeat_is_the_measure_on_the_next_epochs_and_the_next_views(ranking, teacher):
    network = keras.models.load_model(teacher, compile=False)
    splits = data.load("digits", batch_size=16)
    expected = []
    for repeat in (0, 1):  # three batches of 16: each repeat is within an epoch of its own
        stream = splits.training(first_epoch=repeat)
        plain = mean_probabilities(label_views(network), stream, 3)
        label = label_views(network, named("mixup"))
        views = mean_probabilities(label, stream, 3, seed=repeat)
        expected.append(window_stddev(plain, views, 2))
    mixup = next(score for score in ranking.scores if score.policy == "mixup")
    assert mixup.values == pytest.approx(expected, rel=1e-6)


def test_one_repeat_has_no_standard_error():
    assert PolicyScore("none", (0.1,), 5, 1.0).standard_error is None


def test_without_a_teacher_the_command_that_trains_one_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="saved_models/digits/teacher.keras.*distill digits`"):
        rank_policies("digits", ["none"])
    with pytest.raises(ValueError, match="Train one with `kd-keras distill mnist`"):
        rank_policies("mnist", ["none"])
    with pytest.raises(ValueError, match=r"`teacher` must be a \.keras file.*gone\.keras"):
        rank_policies("digits", ["none"], teacher="gone.keras")
    (tmp_path / "broken.keras").write_text("no zip")
    with pytest.raises(
        ValueError, match=r"`teacher` is damaged: it is no whole archive.*'broken\.keras'"
    ):
        load_teacher(teacher_file("digits", "broken.keras"))


def test_the_teacher_of_a_run_is_the_default(tmp_path, monkeypatch, teacher):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "saved_models" / "digits").mkdir(parents=True)
    (tmp_path / "saved_models" / "digits" / "teacher.keras").write_bytes(teacher.read_bytes())
    assert str(teacher_file("digits", None)) == "saved_models/digits/teacher.keras"


def test_a_teacher_of_other_data_is_refused(tmp_path):
    path = tmp_path / "teacher.keras"
    models.mlp((8, 8, 1), 7, hidden=(4,), seed=0).save(path)
    with pytest.raises(ValueError, match="'digits' has 10 classes.*for 7 classes"):
        rank_policies("digits", ["none"], teacher=path, **SMALL)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"repeats": 0}, "`repeats` must be an integer >= 1.*repeats=0"),
        ({"window": 5}, "`window` must be even"),
    ],
)
def test_what_is_out_of_range_is_refused(teacher, arguments, message):
    with pytest.raises(ValueError, match=message):
        rank_policies("digits", ["none"], teacher=teacher, **{**SMALL, **arguments})
