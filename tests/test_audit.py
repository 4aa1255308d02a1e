"""The question for known vulnerabilities: what it fails for, and what it cannot fail for."""

import importlib.util
import json
import pathlib
import subprocess

import pytest

SCRIPT = pathlib.Path(__file__).parents[1] / ".ci" / "audit.py"


@pytest.fixture
def audit():
    spec = importlib.util.spec_from_file_location("audit", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def answering(monkeypatch, audit, vulnerable, service="pypi"):
    """Let a database know of the packages in `vulnerable`, and another one of nothing."""

    def run(command, **options):
        known = vulnerable if service in command else ()
        requirements = pathlib.Path(command[-1]).read_text().splitlines()
        names = [line.split("==")[0] for line in requirements if line[:1].isalpha()]
        packages = [
            {"name": name, "version": "1", "vulns": [{"id": "CVE-1", "fix_versions": ["2"]}]}
            if name in known
            else {"name": name, "skip_reason": "not found"}
            for name in names
        ]
        return subprocess.CompletedProcess(command, 0, json.dumps({"dependencies": packages}), "")

    monkeypatch.setattr(audit.subprocess, "run", run)


@pytest.mark.parametrize("service", ["pypi", "osv"])
def test_a_known_vulnerability_fails(audit, monkeypatch, capsys, service):
    answering(monkeypatch, audit, ["django", "pillow"], service)
    assert audit.main() == 1
    told = capsys.readouterr().out
    assert "the lowest allowed versions: pillow 1: CVE-1, fixed in ['2']" in told
    assert "constraints.txt: pillow 1: CVE-1" in told
    assert "django" not in told
    audit.ACCEPTED["CVE-1"] = "nobody has fixed it"
    assert audit.main() == 0


@pytest.mark.parametrize("what", ["knows nothing", "no JSON", "silent"])
def test_where_no_database_answers_it_is_skipped_with_the_reason(audit, monkeypatch, capsys, what):
    def run(command, **options):
        if what == "silent":
            raise subprocess.TimeoutExpired(command, options["timeout"])
        return subprocess.CompletedProcess(command, 1, "", "ConnectionError")

    answering(monkeypatch, audit, ["pillow"])
    if what != "knows nothing":
        monkeypatch.setattr(audit.subprocess, "run", run)
    assert audit.main() == 0
    assert capsys.readouterr().out.startswith("skipped: no database of vulnerabilities")


def test_the_lowest_allowed_versions_are_asked_about(audit):
    pins = audit.lowest(SCRIPT.parents[1].joinpath("pyproject.toml").read_text())
    assert {"keras==3.12.4", "pillow==12.3", "jinja2==3.1.6", "pytest==9.0.3"} <= set(pins)
