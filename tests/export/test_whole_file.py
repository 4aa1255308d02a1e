"""A file appears whole or not at all."""

from __future__ import annotations

import os
import stat

import pytest

from kd_keras.export.whole_file import write_synced, written_beside


def test_the_file_appears_when_the_block_ends(tmp_path):
    path = tmp_path / "a.bin"
    with written_beside(path) as beside:
        write_synced(beside, b"new")
        assert beside.parent == tmp_path
        assert not path.exists()

    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("interruption", [RuntimeError, KeyboardInterrupt])
def test_an_interruption_leaves_the_earlier_file_alone(interruption, tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    with pytest.raises(interruption), written_beside(path) as beside:
        write_synced(beside, b"ne")
        raise interruption

    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name != "posix", reason="Windows has no umask")
def test_the_file_has_the_permissions_of_any_new_file(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    with written_beside(tmp_path / "a.bin"):
        pass

    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert len(modes) == 1


def test_a_parent_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(ValueError, match="does not exist"), written_beside(tmp_path / "file" / "a"):
        pass
