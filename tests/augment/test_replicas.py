import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

# A process of its own, which takes its time.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def printed():
    # A process of its own: logical devices must be set before TensorFlow starts.
    script = Path(__file__).with_name("replicas_script.py")
    root = script.parents[2]
    result = subprocess.run(
        [sys.executable, str(script)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root), "TF_CPP_MIN_LOG_LEVEL": "2"},
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise RuntimeError(result.stderr[-3000:])
    return json.loads(result.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", ["plain", "ours", "dense"])
def test_two_replicas_draw_the_views_of_one_device(printed, name):
    assert printed["differences"][name] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("name", ["mixup", "cutmix", "fmix"])
def test_two_replicas_mix_across_the_global_batch(printed, name):
    # Images, labels, weights, second labels, second weights, share.
    assert printed["differences"][name] == [0.0] * 6


def test_importing_the_room_and_the_adapter_does_not_import_keras_cv(printed):
    assert printed["imports"] is False
