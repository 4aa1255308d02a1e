"""The notebook that newcomers start with runs from top to bottom, and learns."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "examples" / "quickstart.ipynb"


def printed(cell):
    return "".join(output.get("text", "") for output in cell.get("outputs", []))


@pytest.mark.slow
def test_the_quickstart_notebook_runs_and_its_student_learns(tmp_path, monkeypatch):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    client = NotebookClient(
        notebook, timeout=500, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    )
    client.execute()
    text = "".join(printed(cell) for cell in notebook.cells)
    accuracy = float(re.search(r"int8 accuracy on the test split: (\S+)", text).group(1))
    agreement = float(re.search(r"agreement with Keras (\S+)", text).group(1))
    assert accuracy > 0.9
    assert agreement > 0.97
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in shown)
