"""Python modules of the user's own, which build networks: found, imported, known by their sources.

Below every room, and imports no TensorFlow: what a module imports is read from its text.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import sys
import sysconfig
import traceback
import types
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from kd_keras.whole_file import checksum

# Modules below one of these are installed, and so is what the environment of a run names.
_INSTALLED = frozenset({"site-packages", "dist-packages"})


def own_sources(module: str, argument: str, received: str) -> dict[str, Path]:
    """Return the files that a module of the user's own consists of.

    That is its own source file, and those of the modules that it imports, in functions too, and
    that these import, unless they are installed or Python's. Modules that are imported by a name
    that no `import` statement says are not found.

    Args:
        module: A Python file, as in `mymodels.py`, or a module, as in `package.module`.
        argument: What an error calls whatever names it.
        received: What names it.

    Returns:
        The files by the names of their modules; that of `module` itself by "".

    Raises:
        ValueError: If there is no such file or module.
    """
    with importable_from(module):
        found = {"": _source(module, argument, received)}
        name = "" if module.endswith(".py") else module
        waiting = [*_parents(name), *_imports(found[""], name)]
        while waiting:
            name = waiting.pop()
            path = None if name in found else _file(name)
            if path is not None and path not in found.values() and not _is_installed(path):
                found[name] = path
                waiting += [*_parents(name), *_imports(path, name)]
    return found


def import_own(module: str, argument: str, received: str) -> types.ModuleType:
    """Return a module of the user's own, imported, once in a process while its file is the same.

    Args:
        module: As for `own_sources`.
        argument: As for `own_sources`.
        received: As for `own_sources`.

    Raises:
        ValueError: If there is no such file or module, or it raises an exception.
    """
    path = _source(module, argument, received)
    with importable_from(module):
        try:
            return _imported(path) if module.endswith(".py") else importlib.import_module(module)
        except Exception as error:
            raise failure(error, path, argument, received) from error


def failure(error: Exception, path: Path, argument: str, received: str) -> ValueError:
    """Return the error for an exception in a module of the user's own.

    Args:
        error: The exception.
        path: The file of the module.
        argument: As for `own_sources`.
        received: As for `own_sources`.
    """
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
    place = f", line {lines[-1]}" if lines else ""
    return ValueError(
        f"`{argument}` names Python code that fails: {type(error).__name__}: {error} "
        f"({path.name}{place}). Received: {argument}={received!r}. Repair it; --debug shows where "
        "it came from."
    )


def _imported(path: Path) -> types.ModuleType:
    # Networks hold classes of it, so that it must be the same module each time.
    name = f"kd_keras_own_{checksum(path)[:16]}"
    if name not in sys.modules:
        spec = spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise ImportError(f"{str(path)!r} cannot be read as Python")
        sys.modules[name] = made = module_from_spec(spec)
        try:
            spec.loader.exec_module(made)
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]


@contextlib.contextmanager
def importable_from(module: str) -> Iterator[None]:
    """Let modules of the working folder be found, and those beside a file, as Python does."""
    beside = str(Path(module).expanduser().absolute().parent) if module.endswith(".py") else ""
    here = str(Path.cwd())
    sys.path[:0] = [beside, here]
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(beside)
        sys.path.remove(here)


def _source(module: str, argument: str, received: str) -> Path:
    if module.endswith(".py"):
        path = Path(module).expanduser()
        if not path.is_file():
            raise ValueError(
                f"`{argument}` names a Python file that does not exist. Received: "
                f"{argument}={received!r}. Give the path of the file as it is now."
            )
        return path.absolute()
    with importable_from(module):
        found = _file(module)
    if found is None:
        raise ValueError(
            f"`{argument}` names a module that cannot be imported: there is none in the working "
            f"folder or on Python's path. Received: {argument}={received!r}. Give its file, as in "
            "mymodels.py:build."
        )
    return found


def _file(name: str) -> Path | None:
    """Return the file of a module. None of its packages is imported for it."""
    parts = name.split(".")
    folders = spec = None
    for end in range(1, len(parts) + 1):
        if end > 1 and folders is None:
            return None  # in what is no package
        part = ".".join(parts[:end])
        specs = (finder.find_spec(part, folders) for finder in sys.meta_path)
        spec = next((found for found in specs if found is not None), None)
        if spec is None:
            return None
        folders = spec.submodule_search_locations
    if spec is None or not spec.has_location or spec.origin is None:
        return None
    return Path(spec.origin).absolute()


def _is_installed(path: Path) -> bool:
    ours = Path(__file__).parent
    stdlib = Path(sysconfig.get_path("stdlib"))
    return bool(_INSTALLED & set(path.parts) or {ours, stdlib} & set(path.parents))


def _parents(name: str) -> list[str]:
    """Return the packages of a module, whose `__init__.py` run before it."""
    parts = name.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts))]


def _imports(path: Path, name: str) -> list[str]:
    """Return the modules that a file's import statements may name."""
    try:
        tree = ast.parse(path.read_bytes()) if path.suffix == ".py" else ast.Module([], [])
    except (SyntaxError, ValueError):  # said by Python, where the module is imported
        return []
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parts = name.split(".") if name else []
            if node.level:
                parts = parts[: len(parts) + (path.stem == "__init__") - node.level]
            else:
                parts = []
            base = ".".join([*parts, *filter(None, [node.module])])
            # What is imported from a package may be a module of it.
            found += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return [module for module in found if module and not module.startswith(".")]
