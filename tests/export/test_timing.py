"""Latency is a plausible time of the right number of runs."""

from __future__ import annotations

import time

import pytest

from kd_keras import export
from kd_keras.export.runtime import LiteModel


def test_latency_is_the_median_and_the_ninetieth_percentile(exported):
    measured = export.latency(exported["int8"].path, runs=50, warmup=5)

    assert 0 < measured.median_ms <= measured.p90_ms < 1000
    assert (measured.runs, measured.threads) == (50, 1)


def test_a_slower_model_has_a_longer_latency_and_the_warm_up_is_not_timed(monkeypatch, exported):
    calls = []

    def prepare(self, images):
        assert images.shape == (1, 8, 8, 3)

        def run():
            calls.append(None)
            # Slow at first, as real files are, and every tenth run.
            slow = len(calls) <= 3 or len(calls) % 10 == 0
            time.sleep(0.05 if slow else 0.005)

        return run

    monkeypatch.setattr(LiteModel, "prepare", prepare)
    measured = export.latency(exported["none"].path, runs=9, warmup=3)

    assert len(calls) == 12
    assert 5 <= measured.median_ms < 40
    assert measured.p90_ms > measured.median_ms


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"runs": 0}, "`runs` must be an integer >= 1"),
        ({"warmup": -1}, "`warmup` must be an integer >= 0"),
        ({"threads": 0}, "`threads` must be an integer from 1 to 1024"),
    ],
)
def test_counts_out_of_range_are_refused(arguments, message, exported):
    with pytest.raises(ValueError, match=message):
        export.latency(exported["none"].path, **arguments)
