"""One process at a time holds a lock, whichever file carries it."""

import os

import pytest

from kd_keras.lock import HeldError, held_lock
from kd_keras.whole_file import UnwritableError


def test_who_holds_it_is_named_and_who_is_refused_changes_nothing(tmp_path):
    with held_lock(tmp_path):
        for _ in range(2):  # the first refusal must not wipe the owner's number
            with (
                pytest.raises(
                    HeldError, match=f"process \\(id {os.getpid()}\\) works in .*--output"
                ),
                held_lock(tmp_path),
            ):
                pass
    with held_lock(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_two_names_are_two_locks_and_one_of_them_goes_again(tmp_path):
    with held_lock(tmp_path), held_lock(tmp_path, "other", leave=False):
        assert (tmp_path / "other").exists()
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_a_file_that_vanished_while_it_was_held_is_made_again(tmp_path):
    with held_lock(tmp_path):
        (tmp_path / ".lock").unlink()
        with held_lock(tmp_path):
            assert (tmp_path / ".lock").exists()


def test_a_folder_that_is_gone_is_said_so(tmp_path):
    with pytest.raises(UnwritableError, match="is gone"), held_lock(tmp_path / "nowhere"):
        pass
