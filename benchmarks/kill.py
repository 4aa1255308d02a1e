"""Kill a command with SIGKILL again and again, and compare what it leaves with an unbroken run.

    python benchmarks/kill.py --folders 4 --kills 5 -- distill digits --smoke --no-robustness
    python benchmarks/kill.py --folders 1 --kills 5 -- study digits --smoke --seeds 1
    python benchmarks/kill.py --folders 2 --kills 4 -- record digits --teacher FILE --epochs 30

A moment is a random time behind the appearance of a random one of the next files. Networks are
compared by their weights, `.tflite` files, recordings and arrays of predictions by their bytes.
TensorFlow runs with op determinism. Prints a line for each folder; ends with 1 where something
differs.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

_CODE = (
    "import sys, tensorflow as tf\n"
    "tf.config.experimental.enable_op_determinism()\n"
    "from kd_keras.cli import main\n"
    "sys.exit(main(sys.argv[1:]))\n"
)


def begun(command: list[str], output: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", _CODE, *command, "--output", str(output)],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdout=subprocess.DEVNULL,
    )


def state(folder: Path) -> dict[Path, tuple[int, int]]:
    found = {}
    for path in folder.rglob("*"):
        try:
            found[path] = (path.stat().st_ino, path.stat().st_mtime_ns)
        except FileNotFoundError:
            continue  # renamed meanwhile
    return found


def killed(command: list[str], output: Path, draw: random.Random) -> str:
    """Run the command until it is killed, and return what the folder held then; "" if it ended."""
    changes = draw.randint(1, 30)
    process, before = begun(command, output), state(output)
    while changes > 0:
        if process.poll() is not None:
            return ""
        now = state(output)
        changes -= now != before
        before = now
        time.sleep(0.002)
    time.sleep(draw.choice([0, draw.uniform(0, 0.05), draw.uniform(0, 3)]))
    process.send_signal(signal.SIGKILL)
    process.wait()
    newest = max(state(output).items(), key=lambda item: item[1][1])[0]
    return str(newest.relative_to(output))


def contents(folder: Path) -> dict[str, list[bytes]]:
    import keras

    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.suffix == ".keras":
            weights = keras.models.load_model(path, compile=False).get_weights()
            found[name] = [weight.tobytes() for weight in weights]
        elif path.suffix in (".tflite", ".npy"):
            found[name] = [path.read_bytes()]
        elif path.suffix == ".npz":
            with np.load(path) as arrays:
                found[name] = [arrays[key].tobytes() for key in arrays.files]
    return found


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--folders", type=int, default=4)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    draw, moments, wrong = random.Random(options.seed), 0, 0
    with tempfile.TemporaryDirectory() as root:
        unbroken = Path(root) / "unbroken"
        if begun(options.command, unbroken).wait():
            return 1
        expected = contents(unbroken)
        for number in range(options.folders):
            folder, seen = Path(root) / str(number), []
            for _ in range(options.kills):
                moment = killed(options.command, folder, draw)
                if not moment:
                    break
                seen.append(moment)
            failed = begun(options.command, folder).wait()
            equal = not failed and contents(folder) == expected
            left = [path.name for path in folder.rglob(".partial-*")]
            left += [path.name for path in folder.rglob("checkpoint_*")]
            moments, wrong = moments + len(seen), wrong + (not equal or bool(left))
            print(f"{len(seen)} kills ({', '.join(seen)}): equal={equal}, left={left}", flush=True)
    print(f"{moments} kills, {len(expected)} files compared, {wrong} folders differ")
    return int(wrong > 0)


if __name__ == "__main__":
    raise SystemExit(main())
