"""What reaches standard error while TensorFlow starts under `kd-keras`."""

import os
import pty
import subprocess
import sys

import pytest

START = (
    "import os, sys\n"
    "sys.argv = ['kd-keras']\n"
    "os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'\n"
    "from kd_keras.quiet_start import quiet_start\n"
)
CHATTER = (
    "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n"
    "I0000 00:00:1 cpu_feature_guard.cc] chatter\nE0000 00:00:1 cuda_dnn.cc] chatter\n"
)


def stderr_of(body):
    done = subprocess.run(
        [sys.executable, "-c", START + body], capture_output=True, text=True, timeout=60
    )
    return done.returncode, done.stderr


def test_chatter_is_left_out_and_all_else_comes():
    code, text = stderr_of(
        f"with quiet_start():\n    os.write(2, {CHATTER.encode()!r} + b'a warning\\n')\n"
        "    print('mine', file=sys.stderr)\n"
        "os.write(2, b'I0000 afterwards\\n')"
    )
    assert (code, text) == (0, "a warning\nmine\nI0000 afterwards\n")


@pytest.mark.parametrize("ending", ["os.abort()", "os._exit(3)", "raise SystemExit(4)"])
def test_the_last_words_of_a_process_that_aborts_come_out(ending):
    code, text = stderr_of(
        "with quiet_start():\n"
        f"    os.write(2, {CHATTER.encode()!r} + b'F0000 00:00:1 no AVX512 here\\nno newline')\n"
        f"    {ending}"
    )
    assert code != 0
    assert text == "F0000 00:00:1 no AVX512 here\nno newline"


def test_an_exception_gets_through_with_its_traceback():
    code, text = stderr_of("with quiet_start():\n    raise ValueError('mine')")
    assert code == 1
    assert text.endswith("ValueError: mine\n")


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such limits")
def test_a_limit_of_memory_is_told_once_and_beforehand():
    limit = "import resource; resource.setrlimit(resource.RLIMIT_AS, (2**33, 2**33))\n"
    code, text = stderr_of(f"{limit}with quiet_start(): pass\nwith quiet_start(): pass")
    assert code == 0
    assert text.count("may take 8.6 GB of memory (ulimit -v)") == 1
    assert "raise the limit, or lower the batch size" in text


@pytest.mark.slow
def test_in_a_terminal_the_data_are_prepared_with_standard_error_as_a_terminal(tmp_path):
    """TensorFlow Datasets shows the progress of a download to a terminal alone."""
    body = (
        "from kd_keras.recipes import digits\n"
        "from kd_keras.experiments import distill\n"
        "import kd_keras.experiments.stages as stages\n"
        "def prepare(*_):\n"
        f"    open({str(tmp_path / 'found')!r}, 'w').write(str(sys.stderr.isatty()))\n"
        "    os._exit(0)\n"
        "stages.prepare = prepare\n"
        f"distill(digits(), {str(tmp_path / 'run')!r})\n"
    )
    controlling, terminal = pty.openpty()
    try:
        subprocess.run(
            [sys.executable, "-c", START + body], stderr=terminal, stdout=subprocess.PIPE
        )
    finally:
        os.close(terminal)
        os.close(controlling)
    assert (tmp_path / "found").read_text() == "True"
