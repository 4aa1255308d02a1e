"""A study on a local Ray, against the same study in one process."""

import builtins
import dataclasses
import io

import numpy as np
import pytest
from rich.console import Console

from kd_keras.experiments.study import run_study
from kd_keras.experiments.study.folder import open_study
from kd_keras.experiments.study.on_ray import run_on_ray


@pytest.mark.slow
def test_cells_on_ray_end_as_cells_of_one_process(finished, study, data_dir, tmp_path):
    ray = pytest.importorskip("ray", reason="needs the extra `ray`")
    study = dataclasses.replace(study, augmentation=("none",), seeds=1)
    output = io.StringIO()
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        summary = run_study(
            study,
            tmp_path / "study",
            data_dir=data_dir,
            ray=True,
            robustness_examples=0,
            command="kd-keras study on Ray",
            console=Console(file=output, width=80),
        )
    finally:
        ray.shutdown()
    assert summary.missing == ()
    assert output.getvalue().count(": finished") == len(study.cells())
    for cell in study.cells():
        path, other = (
            folder / "cells" / cell.name / "predictions.npz"
            for folder in (finished[0], tmp_path / "study")
        )
        with np.load(path) as mine, np.load(other) as theirs:
            # Cores are shared out otherwise, which may change the order of sums.
            np.testing.assert_allclose(mine["logits"], theirs["logits"], rtol=1e-3, atol=1e-3)


def test_without_ray_it_says_what_to_install(study, tmp_path, monkeypatch):
    load = builtins.__import__

    def without_ray(name, *args, **kwargs):
        if name == "ray":
            raise ImportError("No module named 'ray'")
        return load(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_ray)
    folder = open_study(tmp_path / "study", study)
    with pytest.raises(ImportError, match=r"kd-keras\[ray\]"):
        run_on_ray(study.cells(), folder, None, Console(file=io.StringIO()), 0)
