"""LiteRT's runtime for browsers: fetched from npm once, at one version, checked, and cached."""

from __future__ import annotations

import base64
import logging
import os
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

VERSION = "2.5.3"
REGISTRY = "https://registry.npmjs.org"

# The registry's own digests (`npm view <package>@2.5.3 dist.integrity`). `core` imports the other.
_INTEGRITY = {
    "core": (
        "PlGmbMOq9WitX7FO0jhbdJw9GthatsyuCQXjTt/wJZo0FLaw48q4tz8IwqgqCIkviYGr9OFDL1kCnN4nzWoyJQ=="
    ),
    "wasm-utils": (
        "4fJiw6tBQnIs+0jH/OQ16nYOiSl8/+zZnn5h2ul8aTKHi05sVqZW580Tmk78pC2kT39A9OYBVdFawteZ/sI1kQ=="
    ),
}
_SECONDS = 60


@dataclass(frozen=True)
class WebRuntime:
    """The parts of LiteRT.js that a page needs.

    Attributes:
        core: The module `@litertjs/core`.
        wasm_utils: The module `@litertjs/wasm-utils`.
        builds: For each WebAssembly build, by name, its loader script and its binary.
    """

    core: bytes
    wasm_utils: bytes
    builds: dict[str, tuple[bytes, bytes]]


# The second is for browsers without relaxed SIMD. Builds with threads need headers that a page
# opened from a file has not.
BUILDS = ("litert_wasm_internal", "litert_wasm_compat_internal")


def web_runtime() -> WebRuntime:
    """Return LiteRT.js, from the user's cache or else from the npm registry.

    The registry is `npm_config_registry`, as npm itself reads it, or npm's own.

    Raises:
        ConnectionError: If it is not in the cache and the registry cannot be reached.
        ValueError: If what came is not what was published under this version, or the cache folder
            cannot be written.
    """
    names = [f"wasm/{build}.{kind}" for build in BUILDS for kind in ("js", "wasm")]
    core = _files(_archive("core"), ("dist/index.js", *names))
    wasm_utils = _files(_archive("wasm-utils"), ("dist/index.js",))
    return WebRuntime(
        core["dist/index.js"],
        wasm_utils["dist/index.js"],
        {build: (core[f"wasm/{build}.js"], core[f"wasm/{build}.wasm"]) for build in BUILDS},
    )


def _archive(package: str) -> Path:
    import pooch  # with `requests`, which no other command needs

    registry = os.environ.get("npm_config_registry", REGISTRY).rstrip("/")  # noqa: SIM112
    url = f"{registry}/@litertjs/{package}/-/{package}-{VERSION}.tgz"
    cache = Path(pooch.os_cache("kd-keras"))
    logger = pooch.get_logger()
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        return Path(
            pooch.retrieve(
                url,
                known_hash=f"sha512:{base64.b64decode(_INTEGRITY[package]).hex()}",
                fname=f"litertjs-{package}-{VERSION}.tgz",
                path=cache,
                downloader=pooch.HTTPDownloader(timeout=_SECONDS),
            )
        )
    except PermissionError as error:
        raise ValueError(
            f"LiteRT's web runtime cannot be kept in the cache folder {str(cache)!r}: "
            f"{error.strerror or error}. Make it writable, or choose another with XDG_CACHE_HOME."
        ) from error
    except OSError as error:  # what `requests` raises is one
        raise ConnectionError(
            f"LiteRT's web runtime is not in the cache ({str(cache)!r}) and cannot be fetched from "
            f"{url}: {error}. Connect to the network once, or set npm_config_registry to a mirror "
            "of npm; later demos need no network."
        ) from error
    except ValueError as error:
        raise ValueError(
            f"What {url} gave is not what was published: its SHA-512 is another. It was not kept. "
            "Try again, or set npm_config_registry to a mirror that you trust."
        ) from error
    finally:
        logger.setLevel(before)


def _files(archive: Path, names: Sequence[str]) -> dict[str, bytes]:
    found = {}
    # In the archive's own order: every step back would unpack it from the start again.
    with tarfile.open(archive, "r|gz") as members:
        for member in members:
            name = member.name.removeprefix("package/")
            content = members.extractfile(member) if name in names else None
            if content is not None:
                found[name] = content.read()
    return found
