"""Standard error is silenced at the descriptor and always comes back."""

from __future__ import annotations

import os
import sys
import threading

import pytest

from kd_keras.export.quiet import quiet_stderr


def test_what_libraries_write_is_dropped_and_what_comes_after_is_not(capfd):
    os.write(2, b"before ")
    with quiet_stderr():
        os.write(2, b"chatter")
    os.write(2, b"after")

    assert capfd.readouterr().err == "before after"


def test_standard_output_is_left_alone(capfd):
    with quiet_stderr():
        os.write(1, b"progress")

    assert capfd.readouterr().out == "progress"


def test_the_descriptor_comes_back_after_an_error_and_after_nesting(capfd):
    with pytest.raises(ValueError, match="inner"), quiet_stderr(), quiet_stderr():
        raise ValueError("inner")
    os.write(2, b"audible")

    assert capfd.readouterr().err == "audible"


def test_no_descriptor_leaks():
    def opened():
        return len(os.listdir("/proc/self/fd"))

    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("open descriptors are counted through /proc")
    before = opened()
    for _ in range(20):
        with quiet_stderr():
            pass

    assert opened() == before


def test_threads_do_not_restore_each_others_redirection(capfd):
    def work():
        for _ in range(50):
            with quiet_stderr():
                os.write(2, b"chatter")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.write(2, b"audible")

    assert capfd.readouterr().err == "audible"


def test_a_closed_standard_error_is_no_error(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)

    with quiet_stderr():
        done = True

    assert done
