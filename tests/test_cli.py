"""The command line as a process: what it teaches, what it refuses, and one small run."""

import os
import subprocess
import sys

import pytest

from kd_keras import __version__, evaluate, recipes
from kd_keras.cli import main

TRACEBACK = "Traceback (most recent call last)"


def kd_keras_command(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "kd_keras", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        **options,
    )


@pytest.mark.parametrize("arguments", [(), ("--help",)])
def test_help_names_the_main_job_and_says_what_happens_to_a_killed_run(arguments):
    done = kd_keras_command(*arguments)
    assert done.returncode == 0
    assert "kd-keras distill digits" in done.stdout
    assert "goes on with the same command" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("name", recipes.NAMED)
def test_help_of_a_recipe_says_its_results_and_offers_every_field_with_its_value(name):
    done = kd_keras_command("distill", name, "--help")
    assert done.returncode == 0
    recipe = recipes.NAMED[name]()
    for option in ("--smoke", "--fresh", "--output", "--data-dir", "--debug"):
        assert option in done.stdout
    for field in vars(recipe):
        assert f"--{field.replace('_', '-')}" in done.stdout
    text = " ".join(done.stdout.replace("│", " ").split())
    assert f"(default: {recipe.student})" in text
    assert f"`kd-keras distill {name}" in text
    assert "on two CPU cores" in text


def test_help_does_not_wait_for_tensorflow():
    code = (
        "import sys\n"
        "sys.argv = ['kd-keras', 'distill', 'digits', '--help']\n"
        "from kd_keras.cli import main\n"
        "try:\n    main()\n"
        "except SystemExit:\n    pass\n"
        "print([m for m in ('tensorflow', 'keras', 'keras_cv') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_reader_that_leaves_early_is_no_error():
    command = f"{sys.executable} -m kd_keras distill digits --help | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("usage: kd-keras")
    assert done.stderr == ""


def test_the_version_is_printed():
    done = kd_keras_command("--version")
    assert (done.returncode, done.stdout) == (0, f"kd-keras {__version__}\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("distill", "digts"), ["digts", "digits, cifar10", "you mean `kd-keras distill digits`?"]),
        (("distil", "digits"), ["distil", "Did you mean `kd-keras distill digits`?"]),
        (("distill",), ["digits, cifar10"]),
        (("distill", "digits", "--temprature", 3), ["--temprature", "--temperature"]),
        (("distill", "digits", "--temperature", -1), ["above 0", "temperature=-1.0"]),
        (("distill", "digits", "--temperature", -1), ["kd-keras: error: `temperature` must be"]),
        (("study", "digits", "--batch-size", 0), ["kd-keras: error: `batch_size` must be"]),
        (("distill", "digits", "--epochs", 1.5), ["--epochs", "1.5"]),
        (("distill", "digits", "--policy", "digit"), ["--policy", "'cutmix'"]),
    ],
)
def test_a_wrong_command_ends_with_2_and_says_what_there_is(arguments, said, tmp_path):
    done = kd_keras_command(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    for words in said:
        assert words in done.stderr
    assert TRACEBACK not in done.stderr
    assert "__tyro" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_ends_with_1_and_the_remedy(tmp_path):
    (tmp_path / "file").write_text("")
    arguments = ("distill", "digits", "--output", tmp_path / "file" / "run")
    done = kd_keras_command(*arguments)
    assert done.returncode == 1
    assert "cannot be written" in done.stderr
    assert "--output" in done.stderr
    assert TRACEBACK not in done.stderr
    assert TRACEBACK in kd_keras_command(*arguments, "--debug").stderr


def test_an_unknown_dataset_ends_with_1_and_leaves_no_folder(tmp_path):
    done = kd_keras_command(
        "distill", "digits", "--dataset", "digts", "--output", tmp_path / "run", cwd=tmp_path
    )
    assert done.returncode == 1
    assert "digts" in done.stderr
    assert TRACEBACK not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_small_run_is_quiet_ends_with_its_table_and_is_shown_again(tmp_path):
    arguments = (
        *("distill", "digits", "--smoke", "--teacher", "mlp16", "--student", "mlp8"),
        *("--data-dir", tmp_path / "data"),
    )
    done = kd_keras_command(*arguments, cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr == ""
    assert done.stdout.startswith("digits: mlp16 teaches mlp8; results go to saved_models/")
    assert "distilled student" in done.stdout
    report = tmp_path / "saved_models" / "digits-smoke" / "report.html"
    assert report.exists()
    assert done.stdout.rstrip().endswith("saved_models/digits-smoke/report.html")

    again = kd_keras_command(*arguments, cwd=tmp_path)
    assert again.stdout.startswith("Finished earlier")
    assert "distilled student" in again.stdout

    other = kd_keras_command(*arguments, "--seed", 1, cwd=tmp_path)
    assert other.returncode == 1
    assert "seed is 0 there and 1 here" in " ".join(other.stderr.split())
    assert "--fresh" in other.stderr


@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
def test_a_terminal_that_is_not_utf_8_gets_the_table_and_the_help(tmp_path, encoding):
    """A folder that looks finished, for the table of it is printed without any training."""
    output = tmp_path / "run[bold]"
    output.mkdir()
    (output / "recipe.json").write_text(recipes.digits().to_json())
    row = evaluate.ResultRow(name="teacher \N{GREEK SMALL LETTER ALPHA}", accuracy=0.5)
    report = evaluate.Report(title="digits", command="again", recipe={}, rows=(row,), histories={})
    evaluate.write_report(output / "report.html", output / "report.json", report)
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    done = kd_keras_command("distill", "digits", "--output", output, env=environment)
    assert done.returncode == 0, done.stderr
    assert "50.00 %" in done.stdout
    assert TRACEBACK not in done.stderr
    # Square brackets in a path are no markup, and a long path is not broken.
    assert done.stdout.splitlines()[0].startswith(f"Finished earlier, in {output}. ")
    assert done.stdout.splitlines()[-1] == f"With curves: {output / 'report.html'}"
    assert kd_keras_command("distill", "digits", "--help", env=environment).returncode == 0


@pytest.mark.parametrize(
    ("said", "shown"),
    [("", "interrupted"), ("the same command goes on", "interrupted; the same command goes on")],
)
def test_an_interrupted_command_says_what_the_job_says_and_ends_with_130(
    monkeypatch, capsys, said, shown
):
    def interrupted(*_, **__):
        raise KeyboardInterrupt(*filter(None, [said]))

    monkeypatch.setattr("kd_keras.run.distill", interrupted)
    assert main(["distill", "digits"]) == 130
    assert capsys.readouterr().err == f"kd-keras: error: {shown}\n"
