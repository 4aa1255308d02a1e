import json
from pathlib import Path

import pytest

from tests import processes

# A process of its own, which takes its time.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def printed():
    # A process of its own: logical devices must be set before TensorFlow starts.
    script = Path(__file__).with_name("replicas_script.py")
    return json.loads(processes.run(script).splitlines()[-1])


@pytest.mark.parametrize("name", ["plain", "ours", "dense"])
def test_two_replicas_draw_the_views_of_one_device(printed, name):
    assert printed["differences"][name] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("name", ["mixup", "cutmix", "fmix"])
def test_two_replicas_mix_across_the_global_batch(printed, name):
    # Images, labels, weights, second labels, second weights, share.
    assert printed["differences"][name] == [0.0] * 6


def test_importing_the_room_and_the_adapter_does_not_import_keras_cv(printed):
    assert printed["imports"] is False
