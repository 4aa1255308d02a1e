"""Files take turns, and ratios are formed within a round."""

from __future__ import annotations

import time

import keras
import pytest

from kd_keras import export
from kd_keras.export import racing


@pytest.fixture
def clocked(monkeypatch):
    """Replace the interpreter: a file of name `n` takes n milliseconds, twice that in a storm."""
    calls = []

    def prepared(path, *, threads, xnnpack):
        def run():
            calls.append((path.name, threads, xnnpack))
            storm = 2 if 60 <= len(calls) < 120 else 1
            time.sleep(float(path.name) * storm / 1000)

        return run

    monkeypatch.setattr(racing, "prepared", prepared)
    return calls


def test_ratios_stand_a_machine_that_slows_down_for_a_while(clocked):
    seen = []
    one, three = export.race(
        ["1", "3"], runs=40, warmup=2, progress=lambda done, total: seen.append((done, total))
    )

    assert one.ratio == racing.Ratio(1.0, 1.0, 1.0)
    assert three.ratio.lower <= three.ratio.median <= three.ratio.upper
    assert three.ratio.median == pytest.approx(3, rel=0.25)
    assert one.latency.median_ms < three.latency.median_ms
    assert (one.latency.runs, one.latency.threads) == (40, 1)
    assert seen[-1] == (40, 40)
    # Two to warm up, and in 20 rounds two timed runs after one that is not.
    assert clocked.count(("1", 1, True)) == 2 + 20 * 3
    # They take turns: never more than two turns of one in a row.
    names = "".join(name for name, *_ in clocked[4:])
    assert "1" * 7 not in names
    assert "3" * 7 not in names


def test_every_file_runs_under_every_setting_and_is_compared_within_it(clocked):
    standings = export.race(["1", "2"], threads=(1, 2), xnnpack=(True, False), runs=3, warmup=0)

    entries = [(s.entry.path.name, s.entry.threads, s.entry.xnnpack) for s in standings]
    assert entries == [(f, t, x) for f in "12" for t in (1, 2) for x in (True, False)]
    assert [s.ratio.median for s in standings[:4]] == [1.0] * 4
    assert all(s.ratio.median > 1.2 for s in standings[4:])
    # Three runs are three rounds of one.
    assert all(clocked.count(entry) == 6 for entry in entries)


def test_real_files_run_with_and_without_xnnpack(tmp_path):
    student = keras.Sequential([keras.Input((512,)), keras.layers.Dense(512)])
    small = keras.Sequential([keras.Input((8,)), keras.layers.Dense(8)])
    export.to_tflite(student, tmp_path / "large.tflite")
    export.to_tflite(small, tmp_path / "small.tflite")

    standings = export.race(
        [tmp_path / "large.tflite", tmp_path / "small.tflite"], xnnpack=(True, False), runs=40
    )

    for standing in standings[2:]:
        assert 0 < standing.ratio.median < 0.8
    assert all(0 < s.latency.median_ms <= s.latency.p90_ms for s in standings)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"runs": 0}, "`runs` must be an integer >= 1"),
        ({"warmup": -1}, "`warmup` must be an integer >= 0"),
        ({"threads": ()}, "at least one value each"),
        ({"paths": []}, "at least one value each"),
    ],
)
def test_counts_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        export.race(**{"paths": ["1"], **arguments})


def test_a_missing_file_is_refused_before_anything_runs(tmp_path):
    with pytest.raises(ValueError, match=r"Cannot read.*absent\.tflite"):
        export.race([tmp_path / "absent.tflite"])
