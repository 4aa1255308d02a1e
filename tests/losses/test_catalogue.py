"""`kd-keras losses`: every loss is listed, with what its class says."""

import json
import subprocess
import sys

import pytest

import kd_keras
from kd_keras.losses.catalogue import catalogue


def test_every_loss_with_a_name_of_its_own_is_listed():
    listed = {entry.name for entry in catalogue()}
    bases = {
        "AdaptedLoss",
        "ContrastiveLoss",
        "FeatureLoss",
        "FeatureMapLoss",
        "LogitLoss",
        "Loss",
        "RelationLoss",
        "TrainableLoss",
    }
    classes = {
        name for name in kd_keras.losses.__all__ if isinstance(getattr(kd_keras.losses, name), type)
    }
    assert classes - bases == listed
    for entry in catalogue():
        assert entry.summary.endswith(".")
        assert "arXiv:" in entry.paper, entry.name


@pytest.mark.slow
def test_the_command_prints_and_writes_the_list(tmp_path):
    path = tmp_path / "losses.json"
    done = subprocess.run(
        [sys.executable, "-m", "kd_keras", "losses", "--matches", "logits", "--json", str(path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    assert "DecoupledKD(temperature=4.0, alpha=1.0, beta=8.0)" in done.stdout
    assert "arXiv:2203.08679" in done.stdout
    assert "AttentionTransfer" not in done.stdout
    rows = json.loads(path.read_text())["losses"]
    assert rows == [
        {
            "name": entry.name,
            "matches": "logits",
            "summary": entry.summary,
            "defaults": entry.defaults,
            "paper": entry.paper,
        }
        for entry in catalogue()
        if entry.matches == "logits"
    ]
