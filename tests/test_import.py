"""What `import kd_keras` loads, and what it says where it cannot work."""

import json
import os
import subprocess
import sys

import pytest

HEAVY = ("keras_cv", "tensorflow_datasets", "ai_edge_litert", "matplotlib")


def python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
    )


def loaded_by(code):
    names = f"import json, sys; print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))"
    return set(json.loads(python(f"{code}\n{names}").stdout.splitlines()[-1]))


def test_the_import_adds_nothing_heavy_to_tensorflow_and_keras():
    before = loaded_by("import tensorflow, keras")
    assert loaded_by("import tensorflow, keras, kd_keras") == before
    assert "keras_cv" not in before


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


def test_a_backend_that_is_running_already_is_refused_too():
    code = "import keras; keras.backend.backend = lambda: 'jax'\nimport kd_keras"
    assert "Keras backend 'jax'" in python(code).stderr


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
