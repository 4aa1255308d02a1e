"""A recording that is not what was written is refused by name; a name in it opens nothing else."""

import json
import os
import pathlib
import shutil

import numpy as np
import pytest

from kd_keras.replay import ReplayTeacher, check, policies, record, verified
from kd_keras.replay.folder import open_folder, rows_in
from kd_keras.replay.manifest import read_manifest
from kd_keras.replay.writing import join_or_begin
from tests.mutations import damaged
from tests.replay.conftest import EPOCHS, policy

SHARD = "epoch-00001-part-0001.npy"


@pytest.fixture
def copy(folder, tmp_path):
    return pathlib.Path(shutil.copytree(folder, tmp_path / "copy"))


def flip(path, place=-1):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def rewrite(folder, change):
    """Change a manifest as one may who knows the format; earlier versions wrote no checksum."""
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["sha256"]
    change(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def again(teacher, splits, path, epochs=EPOCHS, **options):
    return record(
        teacher,
        splits,
        path,
        epochs=epochs,
        augmentation=policy(),
        steps_per_shard=3,
        **options,
    )


@pytest.mark.parametrize(
    "name",
    [
        "../outside.npy",
        "{outside}",
        "sub/../../outside.npy",
        "C:\\outside.npy",
        "..\\outside.npy",
        "outside.npy\0.npy",
        "epoch-00001-part-0001.npy",
        "",
        None,
        3,
    ],
)
def test_a_table_that_names_another_file_is_refused_and_nothing_of_it_read(copy, name):
    outside = copy.parent / "outside.npy"
    shutil.copy(copy / "epoch-00000-part-0000.npy", outside)
    name = name.format(outside=outside) if isinstance(name, str) else name
    rewrite(copy, lambda manifest: manifest["shards"][0].update(file=name))
    with pytest.raises(ValueError, match=r"manifest.json' is damaged: its table has .*part-0000"):
        ReplayTeacher(copy)


def test_a_manifest_of_an_earlier_version_is_read(copy):
    rewrite(copy, lambda manifest: None)
    assert ReplayTeacher(copy).epochs == EPOCHS


@pytest.mark.parametrize("name", [SHARD, "manifest.json", "probe.npz"])
@pytest.mark.parametrize("how", ["link", "fifo", "folder"])
def test_what_leads_out_or_is_no_file_is_refused(copy, name, how):
    replay, path = ReplayTeacher(copy), copy / name
    path.rename(copy.parent / name)
    if how == "link":
        path.symlink_to(copy.parent / name)
    elif how == "fifo":
        os.mkfifo(path)
    else:
        path.mkdir()
    with pytest.raises(ValueError, match=f"{name}'.*(leads out of|must be a file|cannot be read)"):
        ReplayTeacher(copy) if name != "probe.npz" else replay.refuse_other_views(policy())


def test_a_note_of_what_was_read_is_written_through_no_link(copy):
    outside = copy.parent / "mine"
    outside.write_text("mine")
    (copy / ".verified.json").unlink(missing_ok=True)
    (copy / ".verified.json").symlink_to(outside)
    ReplayTeacher(copy)
    assert outside.read_text() == "mine"
    with pytest.raises(ValueError, match=r"'\.verified\.json' in .* is a link that leads out"):
        join_or_begin(copy, read_manifest(copy))


def test_a_link_within_the_folder_is_a_file_of_it(copy):
    (copy / SHARD).rename(copy / "kept.npy")
    (copy / SHARD).symlink_to("kept.npy")
    ReplayTeacher(copy)


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 0},
        {"epochs": 2},
        {"epochs": 10**12},
        {"epochs": True},
        {"epochs": "3"},
        {"steps_per_epoch": 7},
        {"steps_per_shard": -1},
        {"classes": 1},
        {"k": 11},
        {"k": None},
        {"order": {}},
        {"order": {"batch_size": 0.5}},
        {"inputs": {"shape": [8, -8, 1], "dtype": "uint8"}},
        {"inputs": {"shape": 8, "dtype": "uint8"}},
        {"inputs": {"shape": [8, 8, 1], "dtype": "pictures"}},
        {"teacher": None},
        {"versions": []},
        {"augmentation": {}},
        {"shards": 3},
        {"shards": [3]},
        {"shards": [{}]},
    ],
    ids=str,
)
def test_nonsense_in_a_manifest_is_refused_by_name(copy, change):
    rewrite(copy, lambda manifest: manifest.update(change))
    with pytest.raises(ValueError, match=r"manifest.json' is damaged: .*record anew"):
        ReplayTeacher(copy)


def test_an_augmentation_that_cannot_be_made_again_is_refused(copy):
    rewrite(copy, lambda m: m.update(augmentation=[{"class_name": "os>system", "config": {}}]))
    with pytest.raises(ValueError, match="augmentation of a recording cannot be made again"):
        _ = ReplayTeacher(copy).augmentation


def test_a_file_that_changes_before_the_end_is_not_signed_off(teacher, splits, folder, tmp_path):
    def change_the_first(done):
        if done == 4:
            flip(tmp_path / "epoch-00000-part-0000.npy")

    with pytest.raises(ValueError, match="epoch-00000-part-0000.npy' is damaged"):
        again(teacher, splits, tmp_path, progress=change_the_first)
    assert read_manifest(tmp_path).shards == ()
    with pytest.raises(ValueError, match="epoch-00000-part-0000.npy' is damaged.*Delete it"):
        again(teacher, splits, tmp_path)
    (tmp_path / "epoch-00000-part-0000.npy").unlink()
    done = []
    again(teacher, splits, tmp_path, progress=done.append)
    assert done == [1, 2, 3]
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in folder.iterdir()}
    for path in tmp_path.glob("[!.]*"):
        assert path.read_bytes() == (folder / path.name).read_bytes()


def test_a_finished_recording_is_looked_at_when_it_is_recorded_again(teacher, splits, copy):
    flip(copy / SHARD)
    for epochs in (EPOCHS, EPOCHS + 1):  # before a batch of another epoch is labelled
        with pytest.raises(ValueError, match=f"{SHARD}' is damaged"):
            again(teacher, splits, copy, epochs, progress=lambda done: pytest.fail("too late"))


def test_a_file_whose_checksum_is_lost_is_written_again(teacher, splits, folder, copy):
    shards = open_folder(copy).shards()
    for shard in shards:
        text = f"{verified.checksum(copy / shard.file)}  {shard.file}\n"
        (copy / f".{shard.file}.sha256").write_text(text if shard.file != SHARD else "?")
    rewrite(copy, lambda manifest: manifest.update(shards=[]))
    flip(copy / SHARD)
    done = []
    again(teacher, splits, copy, progress=done.append)
    assert done == [1, 2, 3]
    for path in copy.glob("[!.]*"):
        assert path.read_bytes() == (folder / path.name).read_bytes()


def test_what_was_read_and_has_not_changed_is_not_read_again(teacher, splits, copy, monkeypatch):
    read = []
    checksum = verified.checksum
    monkeypatch.setattr(verified, "checksum", lambda path: read.append(path.name) or checksum(path))
    ReplayTeacher(copy)
    assert len(read) == 9  # a copy is not what was read
    ReplayTeacher(copy)
    assert len(read) == 9
    before = (copy / SHARD).stat()
    flip(copy / SHARD)
    os.utime(copy / SHARD, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(ValueError, match=f"{SHARD}' is damaged"):
        ReplayTeacher(copy)
    flip(copy / SHARD)
    ReplayTeacher(copy)
    assert read[9:] == [SHARD, SHARD]
    check(teacher, splits, copy, batches=1)
    assert len(read) == 11 + 9


def test_what_killed_processes_left_unfinished_is_removed(teacher, splits, copy):
    for name in ("manifest.json", "probe.npz", ".verified.json"):
        (copy / f".partial-1-0a-{name}").write_bytes(b"half")
    (copy / f".{SHARD}.sha256").write_text("0" * 64 + f"  {SHARD}\n")
    (copy / SHARD).unlink()
    (copy / f".partial-1-0a-{SHARD}").write_bytes(b"half")
    (copy / f".partial-1-0a-.{SHARD}.sha256").write_bytes(b"half")
    again(teacher, splits, copy)
    names = {path.name for path in copy.iterdir()}
    assert not [name for name in names if name.startswith((".partial", ".epoch"))]
    ReplayTeacher(copy)


def outcome(folder, expected, views):
    """Return whether a recording is refused; raise unless that, or what was written, comes."""
    try:
        replay = ReplayTeacher(folder)
        policies.refuse_other_views(folder, None, (), "uint8", "")
    except ValueError as error:
        assert str(folder) in str(error) or "draws other views" in str(error)
        return True
    assert read_manifest(folder) == expected
    for shard in expected.files():
        rows = rows_in(folder / shard.file, expected.rows.dtype)
        np.testing.assert_array_equal(rows, views[shard.file])
    assert replay.epochs == expected.epochs
    return False


def refused_of(folder, count, seed, monkeypatch):
    expected = read_manifest(folder)
    views = {s.file: np.load(folder / s.file) for s in expected.files()}
    with np.load(folder / "probe.npz") as arrays:
        probe = dict(arrays)
    monkeypatch.setattr(policies, "_probe", lambda *_: probe)  # a policy is slow to trace
    names = ["manifest.json", "probe.npz", SHARD, ".verified.json"]
    found = dict.fromkeys(names, 0)
    for name in names:
        whole = (folder / name).read_bytes()
        for kind, content in damaged(whole, count, seed):
            (folder / name).write_bytes(content)
            try:
                found[name] += outcome(folder, expected, views)
            except Exception as error:
                raise AssertionError(f"{name}: {kind}: {type(error).__name__}: {error}") from error
        (folder / name).write_bytes(whole)
    return found


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_damage_is_refused_by_name_whatever_it_is(copy, monkeypatch):
    ReplayTeacher(copy)
    found = refused_of(copy, 60, 0, monkeypatch)
    assert found[SHARD] == 60
    assert found[".verified.json"] == 0
    assert min(found["manifest.json"], found["probe.npz"]) > 40


def test_a_damaged_checksum_leaves_a_file_that_is_written_again_or_refused(copy, teacher, splits):
    rewrite(copy, lambda manifest: manifest.update(shards=[]))
    recording = open_folder(copy)
    shard = recording.shards()[4]
    whole = f"{verified.checksum(copy / SHARD)}  {SHARD}\n"
    for kind, content in damaged(whole.encode(), 200):
        recording.checksum_file(shard).write_bytes(content)
        found = recording.checksum_of(shard)
        if found not in (None, whole.split()[0]):
            with pytest.raises(ValueError, match=f"{SHARD}' is damaged"):
                recording.refuse_damaged()
        assert recording.is_missing(shard) == (found is None), kind
