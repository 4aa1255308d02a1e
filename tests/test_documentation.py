"""What README and docs tell a reader to open, to type and to write is there."""

import ast
import re
import shlex
from pathlib import Path

import pytest

from kd_keras.cli import command_line
from kd_keras.cli.commands import COMMANDS
from kd_keras.recipes import digits

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES += [ROOT / "examples" / "which_loss_when.md", ROOT / "benchmarks" / "README.md"]
TEXTS = {page.relative_to(ROOT).as_posix(): page.read_text() for page in PAGES}
BLOCKS = [
    (name, language, block)
    for name, text in TEXTS.items()
    for language, block in re.findall(r"^```(\w+)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
]


def commands():
    """Every `kd-keras ...` that a page shows: in a block for a shell, and within a sentence."""
    for name, language, block in BLOCKS:
        if language == "sh":
            for line in block.replace("\\\n", " ").splitlines():
                for part in shlex.split(line, comments=True) and line.split("&&"):
                    words = shlex.split(part, comments=True)
                    if words[:1] == ["kd-keras"]:
                        yield pytest.param(words[1:], id=f"{name}: {' '.join(words)}")


def anchors(text):
    """The anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("name", TEXTS)
def test_no_link_is_dead(name):
    dead = []
    for target in re.findall(r"\]\(([^)\s]+)\)", TEXTS[name]):
        if re.match(r"https?:", target):
            continue
        path, _, anchor = target.partition("#")
        page = (ROOT / name).parent / path if path else ROOT / name
        if not page.exists() or (anchor and anchor not in anchors(page.read_text())):
            dead.append(target)
    assert not dead


@pytest.mark.parametrize("words", commands())
def test_a_command_of_a_page_is_understood(words, tmp_path, monkeypatch):
    """It is read to the last option, and not run."""
    monkeypatch.chdir(tmp_path)
    Path("photos.json").write_text(digits().to_json())
    words = words[: words.index(">")] if ">" in words else words
    if {"-h", "--help"} & set(words):
        with pytest.raises(SystemExit) as left:
            command_line._parsed(words)
        assert left.value.code == 0
    else:
        command_line._parsed(words)


def test_a_command_in_a_sentence_exists_with_its_options(capsys):
    """`kd-keras export --batch-size None` in a sentence leaves out what the command needs."""
    told = {
        tuple(command.split()[1:])
        for text in TEXTS.values()
        for command in re.findall(r"`(kd-keras [^`]+)`", text)
    }
    helps: dict[str, str] = {}
    unknown = []
    for verb, *rest in sorted(told):
        if verb not in COMMANDS:
            unknown.append(verb)
            continue
        if verb not in helps:
            recipe = ["digits"] if COMMANDS[verb].per_recipe else []
            with pytest.raises(SystemExit):
                command_line._parsed([verb, *recipe, "--help"])
            helps[verb] = capsys.readouterr().out
        unknown += [
            f"{verb} {word}"
            for word in rest
            if word.startswith("--") and not re.search(rf"{word}\b", helps[verb])
        ]
    assert not unknown


@pytest.mark.parametrize("name", TEXTS)
def test_python_of_a_page_is_python(name):
    for page, language, block in BLOCKS:
        if page == name and language == "python":
            ast.parse(block)
