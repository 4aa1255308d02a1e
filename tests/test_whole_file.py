"""A file appears whole or not at all."""

from __future__ import annotations

import errno
import os
import pickle
import stat

import pytest

from kd_keras import whole_file
from kd_keras.whole_file import (
    PARTIAL,
    UnwritableError,
    refuse_unwritable,
    remove_unfinished,
    write_whole,
    written_beside,
)


def test_the_file_appears_when_the_block_ends(tmp_path):
    path = tmp_path / "a.bin"
    with written_beside(path) as beside:
        beside.write_bytes(b"new")
        assert beside.parent == tmp_path
        assert beside.name.startswith(PARTIAL)
        assert beside.suffix == path.suffix
        assert not path.exists()

    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("interruption", [RuntimeError, KeyboardInterrupt])
def test_an_interruption_leaves_the_earlier_file_alone(interruption, tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    with pytest.raises(interruption), written_beside(path) as beside:
        beside.write_bytes(b"ne")
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


@pytest.mark.skipif(os.name != "posix", reason="Windows has no FIFOs in folders")
def test_a_fifo_and_a_device_stay_what_they_are(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("fifo")
    for path in (tmp_path / "fifo", tmp_path / "link"):
        with pytest.raises(ValueError, match="FIFO or a device.*Received: path=.*Choose"):
            write_whole(path, "text")
        assert path.is_fifo()
    with pytest.raises(ValueError, match="FIFO or a device"):
        write_whole(os.devnull, "text")
    assert not os.path.isfile(os.devnull)


def test_text_is_written_whole_with_the_same_bytes_on_every_system(tmp_path):
    write_whole(tmp_path / "a.txt", "é\n")
    assert (tmp_path / "a.txt").read_bytes() == b"\xc3\xa9\n"


def test_a_full_disk_leaves_the_earlier_text_and_nothing_beside_it(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    write_whole(path, "old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, "new")

    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name != "posix", reason="Windows asks for a right to make links")
@pytest.mark.parametrize("exists", [True, False])
def test_a_link_stays_and_its_target_is_written(exists, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    target, link = tmp_path / "elsewhere" / "data", tmp_path / "a.json"
    if exists:
        target.write_text("old")
    link.symlink_to(target)

    with written_beside(link) as beside:
        assert beside.suffix == link.suffix
        assert beside.parent == target.parent
        beside.write_text("new")

    assert target.read_text() == link.read_text() == "new"
    assert link.is_symlink()
    assert list(target.parent.iterdir()) == [target]


def test_a_path_that_cannot_be_written_is_known_beforehand(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    refuse_unwritable(path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(ValueError, match="it is a folder"):
        refuse_unwritable(tmp_path)
    with pytest.raises(ValueError, match="does not exist"):
        refuse_unwritable(tmp_path / "none" / "a.bin")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_with_the_file_the_room_and_how_to_go_on(number, tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UnwritableError) as caught:
        write_whole(tmp_path / "a.txt", "x" * 1234)
    said = str(caught.value)
    for words in (os.strerror(number), "at least 1,234 bytes", "are free", "Make room", "a.txt"):
        assert words in said
    assert isinstance(caught.value, OSError) and caught.value.errno == number
    assert str(pickle.loads(pickle.dumps(caught.value))) == said  # as from a worker of Ray

    with (
        pytest.raises(UnwritableError, match="more than 7 bytes"),
        written_beside(tmp_path / "a.keras") as beside,
    ):
        beside.write_bytes(b"1234567")
        # As HDF5 says it.
        raise RuntimeError(f"file write failed: errno = {number}, '{os.strerror(number)}'")


@pytest.mark.parametrize("moment", ["begin", "end"])
def test_a_disk_that_turns_read_only_is_told(moment, tmp_path, monkeypatch):
    def read_only(*_):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    if moment == "begin":
        monkeypatch.setattr(whole_file, "open", read_only, raising=False)
    else:
        monkeypatch.setattr(os, "replace", read_only)
    with pytest.raises(UnwritableError, match=r"Read-only file system.*Choose a folder.*a\.txt"):
        write_whole(tmp_path / "a.txt", "x")


def test_a_folder_that_vanishes_is_told(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    with (
        pytest.raises(UnwritableError, match=r"is gone: .*run'\. Put it back"),
        written_beside(folder / "a.keras") as beside,
    ):
        beside.unlink()
        folder.rmdir()


def test_what_goes_wrong_with_other_files_is_not_told_of_this_one(tmp_path):
    with (
        pytest.raises(FileNotFoundError, match="picture"),
        written_beside(tmp_path / "student.tflite"),
    ):
        (tmp_path / "picture.png").read_bytes()


def test_what_killed_processes_left_is_removed_by_name_or_altogether(tmp_path):
    names = [".partial-1-0a-manifest.json", ".partial-2-0b-a.npy", "manifest.json", "b-a.npy"]
    for name in names:
        (tmp_path / name).write_text("half")
    remove_unfinished(tmp_path, "manifest.json")
    assert {path.name for path in tmp_path.iterdir()} == set(names[1:])
    remove_unfinished(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(names[2:])
