"""Small archives that stand for gigabytes are refused unread, and large honest ones are read."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from kd_keras import archives
from kd_keras.checkpoint.file import CheckpointFile
from kd_keras.cli import main
from kd_keras.export import metadata
from kd_keras.network_files import load_network
from kd_keras.teachers import Recorded

RELEASED = Path(__file__).parents[1] / "saved_models" / "released" / "digits_student_int8.tflite"
MIB = 2**20
BOMB = 72 * MIB  # more than unpacks in any case


@pytest.fixture(autouse=True)
def _fresh_seeds():
    """Instead of the one for all tests, which clears Keras's session: no test here trains."""


@pytest.fixture(autouse=True)
def few_bytes():
    """Whatever a test does, it must not make room for what a bomb unpacks to."""
    tracemalloc.start()
    yield
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 48 * MIB


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    path = tmp_path_factory.mktemp("network") / "network.keras"
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]).save(path)
    return path


def add(archive, name, content, zeros=0, method=zipfile.ZIP_DEFLATED):
    """Write a member with zeros behind it, which are never in memory together."""
    archive.compression, archive.compresslevel = method, 1
    with archive.open(name, "w") as member:
        member.write(content)
        for _ in range(zeros // MIB):
            member.write(bytes(MIB))


def declare(path, size, crc):
    """Let the table of contents of an archive of one member lie about its size."""
    content = bytearray(path.read_bytes())
    table = content.rindex(b"PK\x01\x02")
    content[table + 16 : table + 20] = struct.pack("<I", crc)
    content[table + 24 : table + 28] = struct.pack("<I", size)
    path.write_bytes(content)


def changed(network, path, change, method=zipfile.ZIP_STORED):
    """Write a network's file again, some member of it changed: name to (content, zeros)."""
    with zipfile.ZipFile(network) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            content, zeros = change(name, old.read(name))
            add(new, name, content, zeros, zipfile.ZIP_DEFLATED if zeros else method)
    return path


def test_labels_that_unpack_to_gigabytes_are_refused(tmp_path, capsys):
    labelled = metadata.pack(RELEASED.read_bytes(), labels=list("abcdefghij"))
    bomb = tmp_path / "bomb.tflite"
    bomb.write_bytes(labelled[: labelled.rindex(b"PK\x03\x04")])
    with zipfile.ZipFile(bomb, "a") as archive:
        add(archive, "labels.txt", b"a\n", BOMB)
    for command in (["predict", str(bomb), str(bomb)], ["demo", str(bomb)]):
        assert main(command) == 1
        said = capsys.readouterr().err
        assert "'labels.txt' in it would unpack to 75,497,474 bytes, and at most 16,777," in said
        assert repr(str(bomb)) in said

    # A table of contents that lies: the first bytes are read, and not what follows them.
    declare(bomb, 20, zlib.crc32(b"a\n" + bytes(18)))
    assert main(["predict", str(bomb), str(bomb)]) == 1
    assert "must be a label for each of the 10 classes" in capsys.readouterr().err


def test_more_labels_than_are_read_are_not_written(tmp_path):
    with pytest.raises(ValueError, match="at most 16,777,216 bytes, which is as much as is read"):
        metadata.pack(RELEASED.read_bytes(), labels=["a" * 2**21] * 10)
    with pytest.raises(ValueError, match="at most 65,536 bytes in UTF-8"):
        metadata.pack(RELEASED.read_bytes(), labels=list("abcdefghij"), description="a" * 2**17)


def wide_weights(name, content):
    """HDF5 makes room for what a dataset declares, and nothing need be stored of it."""
    if not name.endswith(".h5"):
        return content, 0
    file = io.BytesIO(content)
    with h5py.File(file, "r+") as weights:
        del weights["layers/dense/vars/0"]
        shape = (10**9, 3)
        weights.create_dataset("layers/dense/vars/0", shape, "float32", chunks=(10**4, 3))
    return file.getvalue(), 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda name, old: (old, BOMB if name == "config.json" else 0), "[0-9,]+ bytes from"),
        (lambda name, old: (old, BOMB if name.endswith(".h5") else 0), "[0-9,]+ bytes from"),
        (wide_weights, "12,000,000,012 bytes from"),
    ],
)
def test_a_network_that_unpacks_to_gigabytes_is_refused_before_keras_sees_it(
    network, tmp_path, change, said
):
    bomb = changed(network, tmp_path / "bomb.keras", change)
    with pytest.raises(
        ValueError, match=rf"`teacher` is damaged: .*unpack to {said}.*Put back.*bomb\.keras"
    ):
        load_network(bomb, "teacher")


def test_a_network_whose_few_words_stand_for_gigabytes_of_weights_is_refused(network, tmp_path):
    def wide(name, content):
        return content.replace(b'"units": 3', b'"units": 9000000000'), 0

    bomb = changed(network, tmp_path / "bomb.keras", wide)
    said = r"`teacher` is damaged: its layers declare 144,000,000,000 bytes.*Put back.*bomb\.keras"
    with pytest.raises(ValueError, match=said):
        load_network(bomb, "teacher")
    assert load_network(network, "teacher").count_params() == 15


def test_a_table_of_contents_that_lies_is_found(network, tmp_path):
    path = tmp_path / "lie.keras"
    with zipfile.ZipFile(path, "w") as archive:
        add(archive, "config.json", b"{}", BOMB)
    declare(path, 2, zlib.crc32(b"{}"))
    with zipfile.ZipFile(path) as archive:
        assert archive.getinfo("config.json").file_size == 2
    with pytest.raises(ValueError, match=r"(no whole archive|has another size than it declares)"):
        load_network(path, "teacher")
    with zipfile.ZipFile(path, "w") as archive:
        add(archive, "config.json", b"{}", method=zipfile.ZIP_STORED)
    declare(path, 3, 0)
    with pytest.raises(ValueError, match="has another size than it declares"):
        load_network(path, "teacher")


def test_members_that_lie_one_over_the_other_are_refused(tmp_path):
    path = tmp_path / "over.keras"
    with zipfile.ZipFile(path, "w") as archive:
        add(archive, "a", bytes(1000), method=zipfile.ZIP_STORED)
        archive.filelist *= 9
    with pytest.raises(ValueError, match="its members are larger than the file is"):
        archives.refuse_bad_network(path)


def test_unusual_packing_and_too_many_members_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "unusual.keras"
    with zipfile.ZipFile(path, "w") as archive:
        add(archive, "config.json", b"{}", method=zipfile.ZIP_BZIP2)
    with pytest.raises(ValueError, match="'config.json' in it is encrypted or packed by method 12"):
        load_network(path, "teacher")
    monkeypatch.setattr(archives, "_MOST_MEMBERS", 2)
    with zipfile.ZipFile(path, "w") as archive:
        for name in "abc":
            add(archive, name, b"")
    with pytest.raises(ValueError, match="it has 3 members, and at most 2 are read"):
        load_network(path, "teacher")


def test_what_is_no_archive_is_named_as_such(tmp_path):
    (tmp_path / "no.keras").write_bytes(b"no archive")
    with pytest.raises(ValueError, match="no whole archive .File is not a zip file"):
        load_network(tmp_path / "no.keras", "teacher")


def test_a_network_that_somebody_packed_again_is_loaded(network, tmp_path):
    again = changed(
        network, tmp_path / "again.keras", lambda _, old: (old, 0), zipfile.ZIP_DEFLATED
    )
    for mine, theirs in zip(
        load_network(network, "teacher").weights,
        load_network(again, "teacher").weights,
        strict=True,
    ):
        np.testing.assert_array_equal(mine, theirs)


def test_large_weights_that_are_stored_as_they_are_pass_unread(tmp_path):
    """Of what the file holds a fraction is read: the fixture above sees to it."""
    path = tmp_path / "large.keras"
    with h5py.File(tmp_path / "weights.h5", "w") as weights:
        data = weights.create_dataset("layers/dense/vars/0", (BOMB // 4,), "float32")
        data[-1] = 1  # makes the file as long as it declares to be
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(tmp_path / "weights.h5", "model.weights.h5")
    assert path.stat().st_size > BOMB
    archives.refuse_bad_network(path)


def test_arrays_are_read_and_bombs_of_arrays_are_not(tmp_path):
    path = tmp_path / "arrays.npz"
    expected = {"a": np.arange(6).reshape(2, 3), "text": np.array("grün")}
    for save in (np.savez, np.savez_compressed):
        save(path, **expected)
        with archives.arrays_in(path) as arrays:
            assert {name: arrays[name].tolist() for name in arrays.files} == {
                name: array.tolist() for name, array in expected.items()
            }

    with zipfile.ZipFile(path, "w") as archive:
        add(archive, "a.npy", b"", BOMB)
    with pytest.raises(ValueError, match="75,497,472 bytes from"), archives.arrays_in(path):
        pass
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"shape": (10**12,), "fortran_order": False, "descr": "<f8"}
    )
    with zipfile.ZipFile(path, "w") as archive:
        add(archive, "a.npy", header.getvalue() + bytes(8))
    with pytest.raises(ValueError, match="declares 8,000,000,000,128 bytes and has 136"):
        CheckpointFile(path).read()


@pytest.mark.parametrize("descr", ["|S0", "<U0", "|V0"])
def test_arrays_of_any_number_of_items_without_a_size_are_refused(tmp_path, descr):
    header, path = io.BytesIO(), tmp_path / "arrays.npz"
    np.lib.format.write_array_header_1_0(
        header, {"shape": (10**8,), "fortran_order": False, "descr": descr}
    )
    with zipfile.ZipFile(path, "w") as archive:
        add(archive, "id.npy", header.getvalue())
    with pytest.raises(ValueError, match=r"'id\.npy' in it holds items without a size"):
        Recorded.from_file(path, logits="p")
