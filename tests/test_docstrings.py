"""The examples in the docstrings run and print what they say."""

import doctest
import importlib
import pkgutil

import pytest

import kd_keras

MODULES = [
    module.name
    for module in pkgutil.walk_packages(kd_keras.__path__, "kd_keras.")
    if module.name != "kd_keras.__main__"
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name, tmp_path, monkeypatch):
    module = importlib.import_module(name)
    monkeypatch.chdir(tmp_path)  # examples may write files
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    failed, _ = doctest.testmod(module, optionflags=flags)
    assert failed == 0
