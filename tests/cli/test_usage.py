"""What is wrong with a command line is one line, like every other error."""

import io
import sys

import pytest

from kd_keras.cli import main

CASES = [
    ("distill", "Expected one of {digits, cifar10, spoken_digit, sst2, membrane, DATA}"),
    ("distill digts", "there is no 'digts'.* Did you mean `kd-keras distill digits`"),
    (
        "distill --epochs 3 digits",
        "before the options.* `kd-keras distill digits --epochs 3`",
    ),
    ("study --smoke .", "the data, or a recipe's name, come before .* `kd-keras study . --smoke`"),
    ("distill --epochs 3", "come before the options.* `kd-keras distill DATA --epochs 3`"),
    ("distil digits", "there is no 'distil'.* Did you mean `kd-keras distill digits`"),
    ("distill digits extra", "Unrecognized options: extra"),
    ("distill digits --epochs", "Missing value for argument '--epochs'"),
    ("distill digits --epochs 1.5", "--epochs must be an integer. Received: '1.5'"),
    ("distill digits --temperature four", "--temperature must be a number. Received: 'four'"),
    ("distill digits --temprature 3", "Unrecognized.*--temprature.* Did you mean --temperature"),
    ("distill digits --temperature 1e300", "`temperature` must be .* in [0.001, 1000]"),
    ("distill digits --learning-rate nan", "`learning_rate` must be a finite number > 0"),
    ("distill digits --policy digit", "invalid choice 'digit' for argument '--policy'.*'cutmix'"),
    ("study digits --smokee", "--smokee. Did you mean --smoke?"),
    ("export s.keras --data digits --batch-size 0", "--batch-size must be at least 1, or None"),
    ("export s.keras --data digits --min-agreement 2", "--min-agreement must be from 0 to 1, or"),
    ("record digits --share 1", "--share: must be K/N, such as 1/2. Received: '1'"),
    ("record digits --epochs 0", "--epochs must be at least 1. Received: 0"),
    ("record digits --tolerance nan", "--tolerance must be from 0 to 1. Received: nan"),
    ("verify", "Missing from kd-keras verify: FILE.tflite .* --data DATASET"),
    ("benchmark a.tflite --runs x", "--runs must be an integer. Received: 'x'"),
    ("--foo", "Unrecognized options: --foo"),
]


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize(("line", "said"), CASES)
def test_a_usage_error_is_one_line(line, said, encoding, monkeypatch):
    monkeypatch.setenv("COLUMNS", "50")
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2))
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    with pytest.raises(SystemExit) as left:
        main(line.split())
    err.seek(0)
    (told,) = err.read().splitlines()
    assert left.value.code == 2
    assert told.startswith("kd-keras: error: ")
    place = 0
    for words in said.split(".*"):
        place = told.index(words.strip(), place)
    assert " (see kd-keras" in told and told.endswith("--help)")
    assert out.tell() == 0


def test_a_terminal_gets_the_same_line_without_the_colours_of_the_parser(monkeypatch, capsys):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    with pytest.raises(SystemExit):
        main(["verify", "a", "b", "--data", "digits"])
    assert capsys.readouterr().err == (
        "kd-keras: error: Unrecognized options: b (see kd-keras verify --help)\n"
    )
