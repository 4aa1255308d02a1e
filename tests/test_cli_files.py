"""`kd-keras verify` and `kd-keras benchmark` as processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

RELEASED = Path(__file__).parents[1] / "saved_models" / "released"


def test_a_missed_threshold_ends_a_quiet_process_with_3(tmp_path):
    arguments = (
        *("verify", RELEASED / "digits_student_int8.tflite", "--data", "digits"),
        *("--data-dir", tmp_path, "--min-accuracy", "0.99"),
    )
    done = subprocess.run(
        [sys.executable, "-m", "kd_keras", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 3
    assert "96.67%" in done.stdout
    assert done.stderr.splitlines() == [
        f"kd-keras: error: {RELEASED / 'digits_student_int8.tflite'}: the accuracy is 0.966667, "
        "which is 0.0233 below min_accuracy=0.99"
    ]


def test_help_teaches_and_does_not_wait_for_tensorflow():
    code = (
        "import sys\n"
        "from kd_keras.cli import main\n"
        "for command in ('verify', 'benchmark'):\n"
        "    try:\n        main([command, '--help'])\n"
        "    except SystemExit:\n        pass\n"
        "print([m for m in ('tensorflow', 'keras', 'ai_edge_litert') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "[]"
    text = " ".join(done.stdout.replace("│", " ").split())
    for words in (
        *("--min-accuracy", "--min-agreement", "--max-difference", "--layers", "--student"),
        *("at 20 dB the noise is a tenth of the signal", "with 3 if one is missed"),
        *("--threads", "--xnnpack", "--runs", "--keras", "--json", "Trust ratios"),
    ):
        assert words in text
