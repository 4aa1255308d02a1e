"""What is handed on names files, not where they lay, and any legal name of a class works."""

from __future__ import annotations

import dataclasses
import re
import warnings

import numpy as np
import PIL.Image
import pytest

from kd_keras import export, models
from kd_keras.cli import main
from kd_keras.demo.web_runtime import BUILDS, WebRuntime
from kd_keras.experiments import distill
from kd_keras.export import metadata
from kd_keras.recipes import Recipe
from tests.test_escaping import rendered

CLASSES = (r"$\frac{1}$", "猫", "=1+1|x", "<script>alert(1)<", "[red]b[", "_a_*b*`c`", " $x$ {{7}}")


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    """A folder of images as it lies on somebody's machine."""
    root = tmp_path_factory.mktemp("home-of-the-maker")
    random = np.random.default_rng(0)
    for split, count in (("train", 20), ("test", 3)):
        for index, name in enumerate(CLASSES):
            folder = root / "pets[b]" / split / name
            folder.mkdir(parents=True)
            for image in range(count):
                pixels = random.integers(0, 90, (8, 8, 3), "uint8")
                pixels[index] = 255
                PIL.Image.fromarray(pixels).save(folder / f"{image}.png")
    models.mlp((8, 8, 3), len(CLASSES), hidden=(4,), seed=0).save(root / "student.keras")
    return root


def with_the_path(root, folder):
    return sorted(
        path.name
        for path in folder.rglob("*")
        if path.is_file() and bytes(root) in path.read_bytes()
    )


@pytest.fixture(autouse=True)
def no_flood():
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Glyph|Matplotlib currently")
        yield


def do(*call):
    assert main(list(map(str, call))) == 0


def test_exports_cards_and_the_demo_know_no_folder(machine, monkeypatch):
    small = WebRuntime(b"core", b"utils", {build: (b"js", b"wasm") for build in BUILDS})
    monkeypatch.setattr("kd_keras.demo.page.web_runtime", lambda: small)
    made, data = machine / "made", machine / "pets[b]"
    exports = ("--preset", "none", "--examples", 100, "--runs", 1, f"--output={made / 'files'}")
    do("export", machine / "student.keras", "--data", data, *exports)
    file = made / "files" / "student_float32.tflite"
    do("demo", file, "--teacher", file, "--output", made / "demo")
    do("benchmark", file, "--runs", 1, "--warmup", 0, "--json", made / "times.json")
    assert len([path for path in made.rglob("*") if path.is_file()]) == 5
    assert with_the_path(machine, made) == []

    described = metadata.read(file)
    assert described.labels == tuple(sorted(CLASSES)) and described.name.endswith("on pets[b]")
    kinds, seen = rendered(file.with_suffix(".md").read_text(encoding="utf-8"))
    assert not {"html_block", "html_inline", "em"} & kinds
    for name in CLASSES:
        assert name.strip() in seen
    assert "kd-keras export student.keras --data 'pets[b]' --preset none" in seen
    assert seen.count("--output=files") == 1
    demo = (made / "demo" / "index.html").read_text(encoding="utf-8")
    assert "student_float32.tflite" in demo and "pets[b]" in demo


@pytest.mark.slow
def test_views_rankings_and_verifications_know_no_folder(machine, capsys):
    made, data, student = machine / "shown", machine / "pets[b]", machine / "student.keras"
    do("views", data, "--policy", "mixup", "--teacher", student, "--output", made)
    # Once, where no font of this machine has the letter; not at all where one has it.
    assert capsys.readouterr().out.count("No installed font has") <= 1
    few = ("--batch-size", 16, "--window", 2, "--windows", 2, "--repeats", 1)
    ranking = ("--policies", "none", *few, "--output", made / "ranking.json")
    do("policies", data, "--teacher", student, *ranking)
    file = made / "student.tflite"
    export.to_tflite(models.mlp((8, 8, 3), len(CLASSES), hidden=(4,), seed=0), file)
    do("verify", file, "--data", data, "--student", student, "--json", made / "verified.json")
    assert with_the_path(machine, made) == []


@pytest.mark.slow
def test_a_run_and_its_reports_know_no_folder(machine, capsys):
    recipe = Recipe(
        dataset=str(machine / "pets[b]"),
        teacher="mlp8",
        student="mlp4",
        policy="mixup",
        teacher_epochs=1,
        epochs=1,
        batch_size=32,
    )
    run = machine / "run"
    distill(recipe, run, robustness=False)
    assert not re.search("Glyph|Traceback", capsys.readouterr().out)
    # The recipe is compared with that of the next call: without its data it would be another's.
    assert with_the_path(machine, run) == ["recipe.json"]
    page = (run / "report.html").read_text(encoding="utf-8")
    assert r"$\frac{1}$" in page and "猫" in page and "<script>alert" not in page
    # With everything in place the same call only shows it.
    again = distill(dataclasses.replace(recipe), run, robustness=False)
    assert again.title.startswith("pets[b]: ") and again.recipe["dataset"] == "pets[b]"
