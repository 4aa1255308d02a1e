"""Two workers equal one device where mathematics says so, and a restart mends the death of one.

The workers are two processes on 127.0.0.1; they print JSON.
"""

import json
import os
import socket
from pathlib import Path

import numpy as np
import pytest

from tests.distiller.test_distribution import compare
from tests.processes import Process

pytestmark = pytest.mark.slow

WORKER = Path(__file__).with_name("multi_worker_worker.py")


def pair(*arguments):
    """Run both workers to their ends."""
    sockets = [socket.socket() for _ in range(2)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    workers = []
    for index in range(2):
        task = {"type": "worker", "index": index}
        config = json.dumps({"cluster": {"worker": addresses}, "task": task})
        workers.append(Process(WORKER, *arguments, environment={"TF_CONFIG": config}))
    for worker in workers:
        worker.end()
    return workers


def results_of(workers):
    return [json.loads(worker.printed().splitlines()[-1]) for worker in workers]


@pytest.fixture(scope="module")
def results():
    first, second = results_of(pair("cases"))
    return {
        "one": {**first.pop("one"), **second.pop("one")},
        "first": first,
        "second": second,
    }


CASES = ["mixing", "pick", "feedback", "alone", "shuffled", "arrays", "loaded"]


@pytest.mark.parametrize("case", CASES)
def test_two_workers_equal_one_device(results, case):
    """Losses, logs, evaluation and weights, whatever worker an example was on.

    mixing: views of seeds, with `steps_per_execution`, regularisers, sample weights, losses of
    Keras; pick, feedback: views of the teacher's choice and of what was learnt; alone: `Supervised`
    with synchronized batch normalisation; shuffled: a seeded dataset, and fewer examples than
    workers; arrays: arrays and XLA; loaded: `kd_keras.data`.
    """
    compare(results["one"][case], results["first"]["two"][case])


@pytest.mark.parametrize("case", CASES)
def test_both_workers_have_the_same(results, case):
    compare(results["first"]["two"][case], results["second"]["two"][case], rtol=1e-7)


def test_batch_norm_of_each_worker_differs_which_shows_that_the_comparison_can_fail(results):
    # On one device there is nothing to synchronize.
    with pytest.raises(AssertionError):
        compare(results["one"]["alone"], results["first"]["two"]["alone_batch_norm"])


@pytest.mark.parametrize("worker", ["first", "second"])
def test_the_guard_stops_both_workers_which_can_go_on(results, worker):
    found = results[worker]["nan"]
    assert found["error"] == "NonFiniteLossError"
    assert found["finite"]
    assert np.isfinite(found["evaluation"]).all()
    assert found["evaluation"] == results["first"]["nan"]["evaluation"]


@pytest.mark.parametrize("worker", ["first", "second"])
def test_a_worker_without_examples_spoils_nothing(results, worker):
    assert results[worker]["few"] == {"finite": True, "step": 2}


@pytest.mark.parametrize("worker", ["first", "second"])
def test_what_workers_would_do_differently_is_refused(results, worker):
    assert "set_random_seed" in results[worker]["unseeded_arrays"]
    assert "Use `fit`" in results[worker]["one_batch"]


def test_a_killed_worker_and_a_restart_give_the_unbroken_run(tmp_path):
    """The other one stops with the remedy; the restarted ones get their state from the chief."""
    backup = str(tmp_path / "backup")
    survivor, killed = pair("job", backup, "1")
    assert killed.end() == -9
    assert survivor.end() == 1
    assert "Start all workers again" in survivor.read("err")
    assert os.path.exists(backup)

    first, second = results_of(pair("job", backup))
    assert not os.path.exists(backup)  # the job is done
    compare(first["two"], second["two"], rtol=1e-7)
    assert first["two"]["epochs"] == [2, 3]
    unbroken = first["one"]
    unbroken["history"] = {name: logs[2:] for name, logs in unbroken["history"].items()}
    compare(unbroken, first["two"])
