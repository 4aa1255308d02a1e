"""Files appear whole or not at all."""

import pytest

from kd_keras.run.files import PARTIAL, appearing_whole, write_text


def test_a_file_has_its_name_only_when_it_is_whole(tmp_path):
    path = tmp_path / "a.txt"
    with appearing_whole(path) as partial:
        assert partial.parent == tmp_path
        assert partial.suffix == ".txt"
        partial.write_text("half")
        assert not path.exists()
    assert path.read_text() == "half"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_the_earlier_file_and_nothing_beside_it(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "first")
    with pytest.raises(RuntimeError, match="on the way"), appearing_whole(path) as partial:
        partial.write_text("second")
        raise RuntimeError("on the way")
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_left_is_overwritten(tmp_path):
    path = tmp_path / "a.txt"
    (tmp_path / f"{PARTIAL}a.txt").write_text("left behind, and longer than the new text")
    write_text(path, "new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]
