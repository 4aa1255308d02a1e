"""Latency is a plausible time of the right number of runs."""

from __future__ import annotations

import time

import pytest
import tensorflow as tf

from kd_keras import export
from kd_keras.export.runtime import LiteModel


def test_latency_is_the_median_and_the_ninetieth_percentile(exported):
    measured = export.latency(exported["int8"].path, runs=50, warmup=5)

    assert 0 < measured.median_ms <= measured.p90_ms < 1000
    assert (measured.runs, measured.threads) == (50, 1)


def test_a_slower_model_has_a_longer_latency_and_the_warm_up_is_not_timed(monkeypatch, exported):
    calls = []

    def prepare(self, images):
        assert [values.shape for values in images.values()] == [(1, 8, 8, 3)]

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


def foreign(tmp_path, function, *specs):
    """A file of another tool."""
    concrete = tf.function(function).get_concrete_function(*map(tf.TensorSpec, specs))
    path = tmp_path / "foreign.tflite"
    path.write_bytes(tf.lite.TFLiteConverter.from_concrete_functions([concrete]).convert())
    return path


def test_a_file_with_its_state_as_an_input_is_timed(tmp_path):
    path = foreign(tmp_path, lambda x, state: (x @ state, x + state), (2, 2), (2, 2))

    assert export.latency(path, runs=2).runs == 2
    assert export.count_operations(path).macs == 4  # for one of the two rows


@pytest.mark.parametrize("specs", [(), ((),), ((1, None),), ((1, 4), (2, 4))])
def test_inputs_that_no_example_can_be_made_for_are_named(tmp_path, specs):
    path = foreign(
        tmp_path, lambda *inputs: (tf.add_n([tf.reduce_sum(x) for x in inputs] + [1.0]),), *specs
    )

    with pytest.raises(ValueError, match=r"one batch size to be timed.*foreign\.tflite' with in"):
        export.latency(path)
    assert export.count_operations(path).macs == 0
