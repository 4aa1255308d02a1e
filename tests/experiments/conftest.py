"""A recipe that trains in a second or two, and its run, made once."""

import io
import os
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from kd_keras.experiments import distill
from kd_keras.recipes import Recipe

# After which files the run is looked at as if it had died.
DEATHS = (1, 3, 6, 8, 10, 42, 43)


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    """Where the digits are prepared, once."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="session")
def quick() -> Recipe:
    """Perceptrons, for they trace fast; mixing, the policy with the most state to lose."""
    return Recipe(
        dataset="digits",
        teacher="mlp16",
        student="mlp8",
        policy="cutmix",
        teacher_epochs=4,
        epochs=12,
        batch_size=32,
        optimizer="adam",
        teacher_learning_rate=0.02,
        learning_rate=0.02,
        limit=1000,
        seed=3,
    )


@pytest.fixture(scope="session")
def deaths(tmp_path_factory):
    """What the folder of `unbroken` held after the n-th file, in a folder named n.

    As a death by SIGKILL leaves it, with what was half-written. Files come by renaming: recipe,
    data, stages, checkpoint, history, ...
    """
    return tmp_path_factory.mktemp("deaths")


@pytest.fixture(scope="session")
def unbroken(quick, data_dir, deaths, tmp_path_factory):
    """The folder, report and output of a run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("unbroken") / "run"
    output = io.StringIO()
    replace, count = os.replace, 0

    def watched(source, target):
        nonlocal count
        replace(source, target)
        count += Path(target).parent == folder
        if count in DEATHS and not (deaths / str(count)).exists():
            shutil.copytree(folder, deaths / str(count))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", watched)
        report = distill(
            quick,
            folder,
            data_dir=data_dir,
            console=Console(file=output, width=100),
            command="again",
            robustness=False,
        )
    return folder, report, output.getvalue()
