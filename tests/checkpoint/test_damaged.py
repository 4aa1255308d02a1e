"""Whatever happens to the bytes of a checkpoint: it is refused by name, or exactly what it was."""

import ml_dtypes
import numpy as np
import pytest

from kd_keras.checkpoint.file import CheckpointFile, Header
from kd_keras.checkpoint.state import Described
from tests.mutations import damaged

VALUES = [
    np.arange(12, dtype="float32").reshape(3, 4),
    np.arange(12, 24, dtype="float32").reshape(3, 4),
    np.array([1, 2, 3]).astype(ml_dtypes.bfloat16),
    np.array(7, "int64"),
]
HEADER = Header(
    step=3,
    steps_per_epoch=5,
    history=[{"loss": 0.5}],
    stopped=False,
    optimizer="SGD",
    teacher="ab",
    variables=[
        Described("model", f"v{i}", value.shape, value.dtype.name) for i, value in enumerate(VALUES)
    ],
)


@pytest.fixture
def file(tmp_path):
    file = CheckpointFile(tmp_path / "c.npz")
    file.write(HEADER, VALUES)
    return file


def outcome(file):
    """Return whether the file is refused; raise unless that, or what was written, is what comes."""
    header = None
    try:
        header = file.header()
        again, values = file.read()
    except ValueError as error:
        assert str(file.path) in str(error)
        assert "delete the file or choose another `path`" in str(error)
        return True
    assert header == again == HEADER
    assert len(values) == len(VALUES)
    for mine, theirs in zip(values, VALUES, strict=True):
        assert mine.dtype == theirs.dtype
        np.testing.assert_array_equal(mine, theirs)
    return False


def test_what_was_written_is_read(file):
    assert not outcome(file)


def refused_of(file, count, seed):
    whole, refused = file.path.read_bytes(), 0
    for kind, content in damaged(whole, count, seed):
        file.path.write_bytes(content)
        try:
            refused += outcome(file)
        except Exception as error:
            raise AssertionError(f"{kind}: {type(error).__name__}: {error}") from error
    return refused


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_damage_is_refused_by_name_whatever_it_is(file):
    assert refused_of(file, 400, seed=0) == 400
