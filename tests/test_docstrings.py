"""The examples in the docstrings run and print what they say."""

import doctest
import importlib
import shutil
from pathlib import Path

import pytest

import kd_keras
import kd_keras.data

ROOT = Path(kd_keras.__file__).parents[1]
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(Path(kd_keras.__file__).parent.rglob("*.py"))
    if path.stem != "__main__"
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The digits, which examples would prepare each for itself."""
    folder = tmp_path_factory.mktemp("prepared")
    kd_keras.data.load("digits", data_dir=folder)
    return folder


@pytest.mark.parametrize("name", [name for name in MODULES if ">>>" in MODULES[name].read_text()])
def test_examples(name, data, tmp_path, monkeypatch):
    module = importlib.import_module(name)
    monkeypatch.chdir(tmp_path)  # examples may write files
    if 'data_dir="data"' in MODULES[name].read_text():
        shutil.copytree(data, "data")
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    failed, tried = doctest.testmod(module, optionflags=flags)
    assert failed == 0
    assert tried > 0


def test_every_module_can_be_imported():
    for name in MODULES:
        importlib.import_module(name)
