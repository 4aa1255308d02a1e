"""The command line: what it teaches and refuses, and small runs; as a process where it counts."""

import csv
import io
import json
import subprocess
import sys

import pytest

from kd_keras import __version__, models, recipes
from kd_keras.cli import main
from kd_keras.cli.commands import COMMANDS
from kd_keras.cli.policies import as_csv
from kd_keras.jobs.ranking import PolicyScore, Ranking
from kd_keras.report import Report, ResultRow, write_report

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
def test_help_names_the_main_job_and_says_what_happens_to_a_killed_run(arguments, command):
    done = command(*arguments)
    assert done.code == 0
    assert "kd-keras distill digits" in done.out
    assert "goes on with the same command" in done.out
    for known in COMMANDS.values():
        for example in known.examples:
            assert example in done.out
    assert done.err == ""


def test_a_process_prints_the_help_and_nothing_else():
    done = kd_keras_command()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: kd-keras")


@pytest.mark.parametrize("name", recipes.NAMED)
def test_help_of_a_recipe_says_its_results_and_offers_every_field_with_its_value(name, command):
    done = command("distill", name, "--help")
    assert done.code == 0
    recipe = recipes.NAMED[name]()
    for option in ("--smoke", "--fresh", "--output", "--data-dir", "--robustness", "--debug"):
        assert option in done.out
    for field in vars(recipe):
        assert f"--{field.replace('_', '-')}" in done.out
    text = " ".join(done.out.replace("│", " ").split())
    assert f"(default: {recipe.student})" in text
    assert f"`kd-keras distill {name}" in text
    assert "on two CPU cores" in text


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("policies", ["T.stddev", "Lower is better", "--policies", "--repeats", "2012.02909"]),
        ("views", ["views.html", "--policy", "--examples", "saved_models/<dataset>"]),
    ],
)
def test_help_of_the_other_commands_teaches(name, said, command):
    done = command(name, "--help")
    assert done.code == 0
    text = " ".join(done.out.replace("│", " ").split())
    for words in (*said, "DATASET", "--teacher", "--data-dir", "--seed", "--output", "--debug"):
        assert words in text


def test_a_reader_that_leaves_early_is_no_error():
    command = f"{sys.executable} -m kd_keras distill digits --help | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("usage: kd-keras")
    assert done.stderr == ""


def test_the_version_is_printed(command):
    done = command("--version")
    assert (done.code, done.out) == (0, f"kd-keras {__version__}\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("distill", "digts"), ["digts", "digits, cifar10", "you mean `kd-keras distill digits`?"]),
        (("distil", "digits"), ["distil", "Did you mean `kd-keras distill digits`?"]),
        (("distill",), ["digits, cifar10"]),
        (("distill", "digits", "--temprature", 3), ["--temprature", "--temperature"]),
        (("distill", "digits", "--temperature", -1), ["in [0.001, 1000]", "temperature=-1.0"]),
        (("distill", "digits", "--temperature", -1), ["kd-keras: error: `temperature` must be"]),
        (("study", "digits", "--batch-size", 0), ["kd-keras: error: `batch_size` must be"]),
        (("distill", "digits", "--epochs", 1.5), ["--epochs", "1.5"]),
        (("distill", "digits", "--policy", "digit"), ["--policy", "'cutmix'"]),
        (("views", "digits", "--policy", "none,strog"), ["strog", "'strong'"]),
        (("views", "digits"), ["--policy standard,"]),
        (("policies", "digits", "--policies", "all"), ["--policies", "'all'", "'cutmix'"]),
        (("policies", "digits", "--output", "a.txt"), ["--output", ".json or .csv", "a.txt"]),
    ],
)
def test_a_wrong_command_ends_with_2_and_says_what_there_is(
    arguments, said, tmp_path, command, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    done = command(*arguments)
    assert done.code == 2
    for words in said:
        assert words in done.err
    assert TRACEBACK not in done.err
    assert "__tyro" not in done.err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_ends_with_1_and_the_remedy(tmp_path, command):
    (tmp_path / "file").write_text("")
    arguments = ("distill", "digits", "--output", tmp_path / "file" / "run")
    done = command(*arguments)
    assert done.code == 1
    assert "cannot be written" in done.err
    assert "--output" in done.err
    assert TRACEBACK not in done.err
    assert TRACEBACK in command(*arguments, "--debug").err


@pytest.mark.slow
def test_an_unknown_dataset_ends_with_1_and_leaves_no_folder(tmp_path, command, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = command("distill", "digits", "--dataset", "digts", "--output", tmp_path / "run")
    assert done.code == 1
    assert "digts" in done.err
    assert TRACEBACK not in done.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_small_run_is_quiet_ends_with_its_table_and_is_shown_again(
    tmp_path, command, monkeypatch
):
    arguments = (
        *("distill", "digits", "--smoke", "--teacher", "mlp16", "--student", "mlp8"),
        *("--data-dir", tmp_path / "data", "--no-robustness"),
    )
    done = kd_keras_command(*arguments, cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr == ""
    assert done.stdout.startswith("digits: mlp16 teaches mlp8; results go to saved_models/")
    assert "distilled student" in done.stdout
    report = tmp_path / "saved_models" / "digits-smoke" / "report.html"
    assert report.exists()
    assert done.stdout.rstrip().endswith("saved_models/digits-smoke/report.html")

    monkeypatch.chdir(tmp_path)
    again = command(*arguments)
    assert again.out.startswith("Finished earlier")
    assert "distilled student" in again.out

    other = command(*arguments, "--seed", 1)
    assert other.code == 1
    assert "seed is 0 there and 1 here" in " ".join(other.err.split())
    assert "--fresh" in other.err


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    path = tmp_path_factory.mktemp("teacher") / "teacher.keras"
    models.mlp((8, 8, 1), 10, hidden=(8,), seed=0).save(path)
    return path


@pytest.mark.slow
def test_policies_prints_the_ranking_and_writes_it(tmp_path, teacher, command, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = ("--batch-size", 16, "--window", 2, "--windows", 2, "--repeats", 2)
    arguments = ("policies", "digits", "--teacher", teacher, "--policies", "none,noise", *small)
    done = command(*arguments, "--output", tmp_path / "r.json")
    assert (done.code, done.err) == (0, "")
    result = json.loads((tmp_path / "r.json").read_text())
    assert result["command"].startswith("kd-keras policies digits --teacher ")
    assert [len(row["values"]) for row in result["policies"]] == [2, 2]
    for row in result["policies"]:
        line = next(line for line in done.out.splitlines() if row["policy"] in line)
        assert f"{row['t_stddev']:.5f}" in line
        assert f"{row['standard_error']:.5f}" in line


def test_a_ranking_is_written_as_csv_too():
    scores = (PolicyScore("a", (0.1, 0.3), 6, 1.5), PolicyScore("b", (0.4,), 6, 2.0))
    ranking = Ranking("digits", "teacher.keras", 64, 10, 20, 0, 6, scores)
    rows = list(csv.DictReader(as_csv(ranking).splitlines()))
    assert [row["policy"] for row in rows] == ["a", "b"]
    assert [float(row["t_stddev"]) for row in rows] == [0.2, 0.4]
    assert float(rows[0]["standard_error"]) == pytest.approx(0.1)
    assert (rows[1]["standard_error"], rows[1]["teacher_calls"], rows[1]["seconds"]) == (
        *("", "6", "2.0"),
    )


def test_policies_without_a_teacher_ends_with_1_and_says_what_trains_one(
    tmp_path, command, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    done = command("policies", "digits")
    assert done.code == 1
    assert "`kd-keras distill digits`" in " ".join(done.err.split())
    assert TRACEBACK not in done.err


@pytest.mark.slow
def test_views_writes_the_page_and_a_picture_for_each_policy(
    tmp_path, teacher, command, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    done = command(
        *("views", "digits", "--policy", "none", "--policy", "mixup,noise"),
        *("--teacher", teacher, "--examples", 2, "--views", 1),
    )
    assert (done.code, done.err) == (0, "")
    names = ["views.html", "views_none.png", "views_mixup.png", "views_noise.png"]
    assert done.out.split() == [f"saved_models/digits-views/{name}" for name in names]
    page = (tmp_path / "saved_models" / "digits-views" / "views.html").read_text()
    assert "kd-keras views digits --policy none --policy mixup,noise" in page


@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
def test_a_terminal_that_is_not_utf_8_gets_the_table_and_the_help(tmp_path, encoding, monkeypatch):
    """A folder that looks finished, for the table of it is printed without any training."""
    output = tmp_path / "run[bold]"
    output.mkdir()
    (output / "recipe.json").write_text(recipes.digits().to_json())
    row = ResultRow(name="teacher \N{GREEK SMALL LETTER ALPHA}", accuracy=0.5)
    report = Report(title="digits", command="again", recipe={}, rows=(row,), histories={})
    write_report(output / "report.html", output / "report.json", report)
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True)
    monkeypatch.setattr(sys, "stdout", stream)
    assert main(["distill", "digits", "--output", str(output)]) == 0
    shown = stream.buffer.getvalue().decode(encoding)
    assert "50.00 %" in shown
    # Square brackets in a path are no markup, and a long path is not broken.
    assert shown.splitlines()[0].startswith(f"Finished earlier, in {output}. ")
    assert shown.splitlines()[-1] == f"With curves: {output / 'report.html'}"
    with pytest.raises(SystemExit) as leaving:
        main(["distill", "digits", "--help"])
    assert leaving.value.code == 0


@pytest.mark.parametrize(
    ("said", "shown"),
    [("", "interrupted"), ("the same command goes on", "interrupted; the same command goes on")],
)
def test_an_interrupted_command_says_what_the_job_says_and_ends_with_130(
    monkeypatch, capsys, said, shown
):
    def interrupted(*_, **__):
        raise KeyboardInterrupt(*filter(None, [said]))

    monkeypatch.setattr("kd_keras.experiments.distill", interrupted)
    assert main(["distill", "digits"]) == 130
    assert capsys.readouterr().err == f"kd-keras: error: {shown}\n"
