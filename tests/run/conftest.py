"""A recipe that trains in a second or two, and its run, made once."""

import io

import pytest
from rich.console import Console

from kd_keras.recipes import Recipe
from kd_keras.run import distill


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
        teacher_epochs=2,
        epochs=30,
        batch_size=64,
        optimizer="adam",
        teacher_learning_rate=0.02,
        learning_rate=0.02,
        limit=1000,
        seed=3,
    )


@pytest.fixture(scope="session")
def unbroken(quick, data_dir, tmp_path_factory):
    """The folder, report and output of a run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("unbroken") / "run"
    output = io.StringIO()
    report = distill(
        quick,
        folder,
        data_dir=data_dir,
        console=Console(file=output, width=100),
        command="again",
        robustness=False,
    )
    return folder, report, output.getvalue()
