"""Commands that are for images say so of other data; a network of texts is read by all of them."""

import pytest

from kd_keras import models
from kd_keras.cli import main

COMMANDS = ("policies opinions", "views opinions --policy strong", "record opinions")


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    path = tmp_path_factory.mktemp("teacher") / "teacher.keras"
    models.text_network("bag4", length=8, num_classes=2, vocabulary_size=9, seed=1).save(path)
    return path


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_for_images_refuses_texts_by_name(line, teacher, tmp_path, capsys):
    output = ["--output", str(tmp_path / "out")] if "policies" not in line else []
    assert main([*line.split(), "--teacher", str(teacher), *output]) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "`dataset` must hold images, each of one class" in said and "'text'" in said
    assert not (tmp_path / "out").exists()
