"""What only looks like a file is refused at once, wherever a path is given."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from kd_keras.cli import main
from kd_keras.experiments.history import read_history
from kd_keras.experiments.stage_record import DamagedError, StageRecord
from kd_keras.regular_file import open_regular, read_text
from kd_keras.replay import ReplayTeacher
from kd_keras.replay.verified import damaged
from kd_keras.whole_file import checksum

RELEASED = Path(__file__).parents[1] / "saved_models" / "released" / "digits_student_int8.tflite"


@pytest.fixture
def fifo(tmp_path):
    """Makes a FIFO of some name, for which an unguarded reader would wait for ever."""

    def make(name):
        os.mkfifo(tmp_path / name)
        return tmp_path / name

    return make


def test_a_fifo_a_device_a_socket_and_a_folder_are_no_files(fifo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the name of a socket must be short
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("socket")
    for path in (fifo("fifo"), "/dev/zero", "socket", tmp_path):
        with pytest.raises(OSError):
            open_regular(path)
    listener.close()


def test_a_link_to_a_file_is_read_and_no_more_of_a_text_than_is_allowed(tmp_path):
    (tmp_path / "text").write_text("grün", encoding="utf-8")
    (tmp_path / "link").symlink_to(tmp_path / "text")
    assert read_text(tmp_path / "link", 5) == "grün"
    with pytest.raises(OSError, match="larger than 4 bytes"):
        read_text(tmp_path / "link", 4)


def test_the_command_line_does_not_wait_for_a_fifo(fifo, tmp_path, capsys):
    picture, model = fifo("x.png"), fifo("x.tflite")
    for arguments in (
        [str(RELEASED), str(picture)],
        [str(model), str(RELEASED)],
        [str(RELEASED), str(RELEASED), "--labels", str(picture)],
    ):
        assert main(["predict", *arguments]) == 1
        said = capsys.readouterr().err
        assert "a FIFO or a device, not a file" in said
        assert "Received: " in said


def test_a_manifest_that_is_a_fifo_is_refused(fifo, tmp_path):
    fifo("manifest.json")
    with pytest.raises(ValueError, match=r"manifest\.json' must be a file, and is none"):
        ReplayTeacher(tmp_path)


def test_what_a_run_notes_is_no_fifo(fifo, tmp_path):
    with pytest.raises(OSError, match="a FIFO or a device"):
        checksum(fifo("student.keras"))
    with pytest.raises(DamagedError, match=r"stages\.json' is damaged.*a FIFO or a device"):
        StageRecord(fifo("stages.json").parent).stages()
    with pytest.raises(ValueError, match=r"history\.csv' is damaged.*a FIFO or a device"):
        read_history(fifo("history.csv"))
    fifo(".verified.json")  # without a note, all is read again
    (tmp_path / "shard").write_bytes(b"rows")
    sums = {tmp_path / "shard": checksum(tmp_path / "shard")}
    assert damaged(tmp_path, sums) is None
