"""Modules of the user's own: what belongs to them, and files with layers that they register."""

import dataclasses
import sys

import keras
import pytest

from kd_keras.experiments import distill
from kd_keras.experiments.own_files import own_files
from kd_keras.own_modules import own_sources
from kd_keras.recipes import Recipe

LAYER = """
import keras

@keras.saving.register_keras_serializable("of_a_run")
class Halved(keras.layers.Layer):
    def call(self, x):
        return x / 2

def build(input_shape, num_classes):
    return keras.Sequential([keras.Input(input_shape), Halved(), keras.layers.Flatten(),
                             keras.layers.Dense(num_classes)])
"""
COMMANDS = (
    ("export", "run/student.keras", "--data", "digits"),
    ("verify", "x.tflite", "--data", "digits", "--student", "run/student.keras"),
    ("benchmark", "x.tflite", "--keras", "run/student.keras"),
    ("views", "digits", "--policy", "none", "--teacher", "run/student.keras"),
    ("policies", "digits", "--teacher", "run/student.keras"),
    ("record", "digits", "--teacher", "run/student.keras"),
)


@pytest.fixture
def recipe():
    return Recipe(dataset="digits", teacher="mlp8", student="mymodels.py:build", limit=64)


@pytest.fixture
def ended_run(recipe, tmp_path, monkeypatch):
    """What a run leaves of a student with a layer of the user's own, to another process."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mymodels.py").write_text(LAYER)
    names = {}
    exec(LAYER, names)
    (tmp_path / "run").mkdir()
    names["build"]((8, 8, 1), 10).save(tmp_path / "run" / "student.keras")
    (tmp_path / "run" / "recipe.json").write_text(recipe.to_json())
    _forget()
    yield tmp_path / "run"
    _forget()


def _forget():
    keras.saving.get_custom_objects().pop("of_a_run>Halved", None)
    for name in [name for name in sys.modules if name.startswith("kd_keras_own_")]:
        del sys.modules[name]


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda arguments: arguments[0])
def test_commands_that_read_networks_import_a_module_first(arguments, command):
    done = command(*arguments, "--own-module", "nowhere.py")
    assert done.code == 1
    assert "`own_module` names a Python file that does not exist" in done.err


def test_a_network_of_a_run_is_read_with_the_module_that_the_error_names(
    ended_run, data_dir, command
):
    views = (*COMMANDS[3], "--data-dir", data_dir, "--examples", 1, "--views", 1)
    done = command(*views, "--output", "views")
    assert done.code == 1
    assert "--own-module mymodels.py:build on the command line" in done.err
    assert "Full object config" not in done.err
    done = command(*views, "--output", "views", "--own-module", "mymodels.py:build")
    assert (done.code, done.err) == (0, "")
    _forget()
    (ended_run.parent / "mymodels.py").unlink()
    done = command(*views, "--output", "views")
    assert "names and which is not there now: put it back" in done.err


def test_modules_that_a_function_imports_belong_to_the_run(recipe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = {
        "mymodels.py": "import keras, json, beside\ndef build(): import package.inner as inner",
        "beside.py": "from deeper import UNITS\nfrom kd_keras import models",
        "deeper.py": "import mymodels, rich, no_such_module",
        "package/__init__.py": "from . import units",
        "package/units.py": "",
        "package/inner.py": "from .units import UNITS\nfrom ..above import ABOVE",
        "other.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    found = own_sources("mymodels.py", "student", "mymodels.py:build")
    assert set(found) == {"", "beside", "deeper", "package", "package.units", "package.inner"}
    assert set(own_sources("package.inner", "student", "-")) == {"", "package", "package.units"}
    digests = own_files(recipe)
    assert set(digests) == {"student" + (name and f": {name}") for name in found}
    (tmp_path / "package" / "units.py").write_text("UNITS = 3")
    changed = {name for name, digest in own_files(recipe).items() if digest != digests[name]}
    assert changed == {"student: package.units"}
    assert not {"mymodels", "beside", "package"} & set(sys.modules)


def test_a_run_does_not_go_on_with_a_module_that_has_changed(
    recipe, data_dir, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets.py").write_text(LAYER.replace("of_a_run", "of_nets"))
    (tmp_path / "names.py").write_text("from nets import build")
    recipe = dataclasses.replace(recipe, student="names:build")
    with monkeypatch.context() as patch:
        patch.setattr("kd_keras.experiments.stages.train_networks", _stop)
        with pytest.raises(KeyboardInterrupt):
            distill(recipe, "run", data_dir=data_dir)
    with (tmp_path / "nets.py").open("a") as file:
        file.write("# another network\n")
    with pytest.raises(ValueError, match=r"network's file 'student: nets' is '\w+' there and '\w+"):
        distill(recipe, "run", data_dir=data_dir)


def _stop(*arguments):
    raise KeyboardInterrupt
