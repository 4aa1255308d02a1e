"""A study of perceptrons on digits, made once."""

import io

import pytest
from rich.console import Console

from kd_keras.experiments.study import Study, run_study
from kd_keras.recipes import Recipe


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    """Where the digits are prepared, once."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="session")
def quick() -> Recipe:
    """Perceptrons, for they trace fast."""
    return Recipe(
        dataset="digits",
        teacher="mlp16",
        student="mlp8",
        teacher_epochs=8,
        epochs=6,
        batch_size=64,
        optimizer="adam",
        teacher_learning_rate=0.02,
        learning_rate=0.02,
        seed=3,
    )


@pytest.fixture(scope="session")
def study(quick) -> Study:
    return Study(
        recipe=quick,
        augmentation=("none", "digits"),
        teacher_augmentation=("digits",),
        seeds=2,
    )


@pytest.fixture(scope="session")
def finished(study, data_dir, tmp_path_factory):
    """The folder, summary and output of a study that nothing interrupted."""
    folder = tmp_path_factory.mktemp("finished") / "study"
    output = io.StringIO()
    summary = run_study(
        study,
        folder,
        data_dir=data_dir,
        robustness_examples=0,
        command="kd-keras study again",
        console=Console(file=output, width=80),
    )
    return folder, summary, output.getvalue()
