"""Ask pip-audit for known vulnerabilities: of the locked versions, and of the lowest allowed ones.

    python .ci/audit.py

Ends with 1 where there is one, and with 0 and the reason where no database answers. An index that
knows no vulnerabilities says of a package that it was not found, or that nothing is known of it; so
each question has a package among it whose vulnerabilities every database has.
"""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
import tempfile

from packaging.requirements import Requirement

try:
    import tomllib
except ModuleNotFoundError:  # before Python 3.11; pip-audit brings it
    import tomli as tomllib

ROOT = pathlib.Path(__file__).parents[1]
KNOWN = "django==3.0"
SERVICES = ("pypi", "osv")
SECONDS_TO_ANSWER, SECONDS_FOR_ALL = 30, 180
# Vulnerabilities that nobody has fixed, or that do not concern us, each with the reason.
ACCEPTED: dict[str, str] = {}


def lowest(pyproject: str) -> list[str]:
    """Return the lowest version of each dependency that is allowed, as `name==version`."""
    project = tomllib.loads(pyproject)["project"]
    extras = project["optional-dependencies"].values()
    pins = set()
    for text in (*project["dependencies"], *(text for extra in extras for text in extra)):
        requirement = Requirement(text)
        least = [part.version for part in requirement.specifier if part.operator in (">=", "==")]
        pins |= {f"{requirement.name}=={version}" for version in least}
    return sorted(pins)


def found(requirements: str, service: str, seconds: float = SECONDS_FOR_ALL) -> list[str] | None:
    """Return what a database knows of the requirements, in words; None where it does not answer."""
    vulnerable = {
        (package["name"], package["version"], vulnerability["id"]): vulnerability
        for package in _asked(f"{requirements}\n{KNOWN}\n", service, seconds)
        for vulnerability in package.get("vulns", ())
    }
    known = KNOWN.partition("==")[0]
    if not any(name == known for name, _, _ in vulnerable):
        return None
    return [
        f"{name} {version}: {identity}, fixed in {fixed['fix_versions'] or 'no version'}"
        for (name, version, identity), fixed in vulnerable.items()
        if name != known and identity not in ACCEPTED
    ]


def _asked(requirements: str, service: str, seconds: float) -> list[dict]:
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "requirements.txt"
        file.write_text(requirements)
        command = [
            *(sys.executable, "-m", "pip_audit", "--format", "json", "--no-deps", "--disable-pip"),
            *("--progress-spinner", "off", "--timeout", "10", "--vulnerability-service", service),
            *("--requirement", str(file)),
        ]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
            return json.loads(done.stdout)["dependencies"]
        except (subprocess.TimeoutExpired, ValueError):  # what it says then is no JSON
            return []


def main() -> int:
    """Ask, and say what was found."""
    questions = {
        "the lowest allowed versions": "\n".join(lowest((ROOT / "pyproject.toml").read_text())),
        "constraints.txt": (ROOT / "constraints.txt").read_text(),
    }
    answering = (name for name in SERVICES if found("", name, SECONDS_TO_ANSWER) is not None)
    service = next(answering, None)
    wrong = []
    for name, requirements in questions.items():
        answer = None if service is None else found(requirements, service)
        if answer is None:
            print(f"skipped: no database of vulnerabilities ({', '.join(SERVICES)}) answers here")
            break
        print(f"{name}: {len(answer)} known vulnerabilities")
        wrong += [f"  {name}: {text}" for text in answer]
    print(*wrong, sep="\n", end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
