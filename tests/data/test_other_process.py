"""What must hold between processes; all of it in one test, since a process takes long to start."""

import hashlib
import os

import pytest

import kd_keras
from tests.processes import Process

SCRIPT = """
import hashlib, os, sys, time
import keras, kd_keras
print(int("tensorflow_datasets" in sys.modules))
data_dir, signals = sys.argv[1:]
load = kd_keras.data.load
print(int("tensorflow_datasets" in sys.modules))
keras.utils.set_random_seed(99)
open(os.path.join(signals, str(os.getpid())), "w").close()
while len(os.listdir(signals)) < 2:
    time.sleep(0.01)
splits = load("digits", data_dir=data_dir, seed=5)
epoch = splits.training(first_epoch=3).take(splits.steps_per_epoch)
print(*(hashlib.md5(x.tobytes()).hexdigest() for x, _ in epoch.as_numpy_iterator()))
"""


@pytest.mark.slow
def test_two_processes_prepare_one_folder_at_once_and_draw_the_order_of_this_one(tmp_path):
    arguments = [str(tmp_path / "data"), str(tmp_path / "signals")]
    for folder in arguments:
        os.mkdir(folder)
    pair = [Process(SCRIPT, *arguments) for _ in range(2)]
    results = [process.printed().splitlines() for process in pair]

    assert os.listdir(tmp_path / "data") == ["digits"]
    splits = kd_keras.data.load("digits", data_dir=tmp_path / "data", seed=5)
    epochs = [
        [
            hashlib.md5(x.tobytes()).hexdigest()
            for x, _ in splits.training(first_epoch=epoch).take(10).as_numpy_iterator()
        ]
        for epoch in (0, 3)
    ]
    for with_package, with_room, order in results:
        assert order.split() == epochs[1] != epochs[0]
        # TFDS is imported with the room, not with the package.
        assert (with_package, with_room) == ("0", "1")
