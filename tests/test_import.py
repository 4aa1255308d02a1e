"""What is imported when, and what `import kd_keras` says where it cannot work."""

import json
import os
import subprocess
import sys

import pytest

from kd_keras.cli.commands import COMMANDS

HEAVY = ("keras_cv", "tensorflow_datasets", "ai_edge_litert", "matplotlib")
# One interpreter for all: TensorFlow takes seconds to start.
IMPORTING = f"""
import json, sys
def loaded(): return [name for name in {HEAVY!r} if name in sys.modules]
import tensorflow, keras
backend, keras.backend.backend = keras.backend.backend, lambda: "jax"
try:
    import kd_keras
except ImportError as error:
    refusal = str(error)
keras.backend.backend = backend
before = loaded()
import kd_keras
print(json.dumps([refusal, before, loaded(), hasattr(kd_keras, "Distiller")]))
"""
# As the command line starts: `kd_keras` imports no TensorFlow there.
HELPING = """
import contextlib, io, json, sys
sys.argv = ["kd-keras"]
HEAVY = ("tensorflow", "keras", "keras_cv", "ai_edge_litert")
def loaded(): return [name for name in HEAVY if name in sys.modules]
import kd_keras.recipes, kd_keras.experiments, kd_keras.jobs, kd_keras.report, kd_keras.cli.commands
found = {"imports": loaded()}
for command in (["distill", "digits"], *([name] for name in kd_keras.cli.commands.COMMANDS)):
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
        kd_keras.cli.main([*command, "--help"])
    found[" ".join(command)] = loaded()
print(json.dumps(found))
"""


def python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
    )


@pytest.fixture(scope="module")
def importing():
    done = python(IMPORTING)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_import_adds_nothing_heavy_to_tensorflow_and_keras(importing):
    _, before, after, imported = importing
    assert imported
    assert after == before
    assert "keras_cv" not in before


def test_a_backend_that_is_running_already_is_refused(importing):
    assert "Keras backend 'jax'" in importing[0]


def test_neither_the_command_line_nor_help_waits_for_tensorflow():
    done = python(HELPING)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found == {name: [] for name in ("imports", "distill digits", *COMMANDS)}


@pytest.mark.parametrize("backend", ["jax", "torch", "openvino"])
def test_another_keras_backend_is_refused_with_the_remedy(backend):
    done = python("import kd_keras", KERAS_BACKEND=backend)
    assert done.returncode != 0
    assert "ImportError: kd_keras runs on the TensorFlow backend" in done.stderr
    assert f"Keras backend '{backend}'" in done.stderr
    assert "KERAS_BACKEND=tensorflow" in done.stderr


def test_a_backend_set_in_keras_json_is_refused_too(tmp_path):
    (tmp_path / "keras.json").write_text('{"backend": "jax"}')
    done = python("import kd_keras", KERAS_HOME=str(tmp_path))
    assert done.returncode != 0
    assert "Keras backend 'jax'" in done.stderr


def test_legacy_keras_is_refused_with_the_remedy():
    done = python("import kd_keras", TF_USE_LEGACY_KERAS="1")
    assert done.returncode != 0
    assert "needs Keras 3" in done.stderr
    assert "unset TF_USE_LEGACY_KERAS" in done.stderr


def test_every_public_name_resolves_and_unknown_ones_do_not():
    import kd_keras

    for name in kd_keras.__all__:
        assert getattr(kd_keras, name) is not None
    assert set(dir(kd_keras)) == set(kd_keras.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Distillr'"):
        kd_keras.Distillr  # noqa: B018
