"""Names that moved still work, and say what to write."""

import importlib

import pytest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("kd_keras.supervised.Supervised", "kd_keras.Supervised"),
        ("kd_keras.run.distill", "kd_keras.experiments.distill"),
        ("kd_keras.run.classify", "kd_keras.jobs.classify"),
        ("kd_keras.study.run_study", "kd_keras.experiments.study.run_study"),
        ("kd_keras.evaluate.Report", "kd_keras.report.Report"),
        ("kd_keras.evaluate.print_table", "kd_keras.report.print_table"),
    ],
)
def test_a_name_works_where_it_was_and_says_where_it_is(old, new):
    (old_room, name), new_room = old.rsplit(".", 1), new.rsplit(".", 1)[0]
    with pytest.warns(DeprecationWarning, match=f"Write `{new}`"):
        found = getattr(importlib.import_module(old_room), name)
    assert found is getattr(importlib.import_module(new_room), name)


@pytest.mark.parametrize("room", ["supervised", "run", "study", "evaluate"])
def test_what_there_never_was_is_missed_as_usual(room):
    with pytest.raises(AttributeError, match=f"'kd_keras.{room}' has no attribute 'nonsense'"):
        importlib.import_module(f"kd_keras.{room}").nonsense  # noqa: B018
