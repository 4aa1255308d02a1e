"""Open a dataset of the TFDS catalogue, downloading it where that is needed and possible."""

from __future__ import annotations

import difflib
import re
import sys
import urllib.error
import urllib.parse
import urllib.request
from contextlib import nullcontext
from pathlib import Path

import tensorflow_datasets as tfds

from kd_keras.data.kinds import check_kind
from kd_keras.data.storage import check_writable, missing_files, quiet

_PROBE_SECONDS = 5
_PROBED_HOSTS = 3

OFFLINE_ALTERNATIVES = (
    "Without a network: pass `data_dir=...`, a folder that holds the data as TFDS prepared it "
    "elsewhere (<data_dir>/<name>/<version>/); or load a folder of images, "
    "`load('path/to/folder')` with train/<class>/ and test/<class>/ in it; or use 'digits', which "
    "is embedded."
)


def open_catalogue(
    name: str, data_dir: Path | None, image_size: tuple[int, int] | None, download: bool
) -> tfds.core.DatasetBuilder:
    """Return the prepared builder of a TFDS dataset.

    Args:
        name: As `tfds.load` takes it: `cifar10`, `emnist/balanced`, `mnist:3.0.1`.
        data_dir: Root folder of TFDS data, or None for TFDS's default.
        image_size: (height, width) that the images will be resized to, or None.
        download: Whether to download what is not prepared in `data_dir`.

    Raises:
        ValueError: If there is no such dataset, it is none of images and labels, its folder is
            damaged, it is absent and `download` is False, or `data_dir` cannot be written.
        ConnectionError: If it must be downloaded and cannot be.
    """
    builder = _find(name, data_dir)
    folder = Path(builder.data_dir)
    if not folder.exists():
        check_kind(name, builder, image_size)  # before anything is fetched
        if not download:
            raise ValueError(
                f"{name!r} is not prepared in {str(folder)!r}, and download=False forbids fetching "
                f"it. {OFFLINE_ALTERNATIVES}"
            )
        _download(name, builder)
    lacking = missing_files(builder)
    if lacking:
        raise ValueError(
            f"The prepared data of {name!r} in {str(folder)!r} is incomplete: it lacks "
            f"{', '.join(lacking[:3])}{' and more' if len(lacking) > 3 else ''}. Delete that "
            "folder so that it can be prepared again, or copy it whole."
        )
    return builder


def _find(name: str, data_dir: Path | None) -> tfds.core.DatasetBuilder:
    try:
        return tfds.builder(name, data_dir=data_dir, try_gcs=False)
    except tfds.core.DatasetNotFoundError as error:
        raise ValueError(_unknown_name(name)) from error
    except Exception as error:
        if not is_in_catalogue(name):
            raise ValueError(_unknown_name(name)) from error
        # TFDS reports an unknown configuration or version, and unreadable metadata, with whatever
        # exception it met; its own words say most.
        raise ValueError(
            f"TensorFlow Datasets cannot open `name`. Received: name={name!r}, "
            f"data_dir={None if data_dir is None else str(data_dir)!r}. It says: {error}"
        ) from error


def is_in_catalogue(name: str) -> bool:
    """Whether TFDS has code for the dataset `name`, `name/config` or `name:version`."""
    return re.split("[/:]", name)[0] in tfds.list_builders(with_community_datasets=False)


def _unknown_name(name: str) -> str:
    known = sorted({"digits", "opinions", *tfds.list_builders(with_community_datasets=False)})
    close = difflib.get_close_matches(name, known, n=3)
    return (
        "`name` must be 'digits', a dataset of TensorFlow Datasets such as 'cifar10', or the path "
        "of a folder of images, of .wav or of .txt files, or of a .csv file of texts. Received: "
        f"name={name!r}, which is none of them."
        + (f" Did you mean {' or '.join(map(repr, close))}?" if close else "")
    )


def _download(name: str, builder: tfds.core.DatasetBuilder) -> None:
    _check_network(name, builder)
    check_writable(Path(builder.data_dir).parent)
    # In a terminal TFDS shows the progress of what may be gigabytes; in a log that is noise.
    with nullcontext() if sys.stderr.isatty() else quiet():
        try:
            builder.download_and_prepare(
                download_config=tfds.download.DownloadConfig(try_download_gcs=False)
            )
        except OSError as error:
            raise ConnectionError(
                f"{name!r} could not be downloaded and prepared in {str(builder.data_dir)!r}: "
                f"{error}. {OFFLINE_ALTERNATIVES}"
            ) from error


def _check_network(name: str, builder: tfds.core.DatasetBuilder) -> None:
    """Raise in seconds where no server of the dataset answers: TFDS would retry for minutes."""
    servers: dict[str, str] = {}
    for url in builder.url_infos or ():
        parts = urllib.parse.urlsplit(url)
        if parts.scheme in ("http", "https"):
            servers.setdefault(parts.netloc, url)
    urls = list(servers.values())[:_PROBED_HOSTS]
    if urls and not any(_answers(url) for url in urls):
        raise ConnectionError(
            f"{name!r} is not prepared in {str(builder.data_dir)!r} and cannot be downloaded: none "
            f"of {sorted(servers)[:_PROBED_HOSTS]} answers. {OFFLINE_ALTERNATIVES}"
        )


def _answers(url: str) -> bool:
    request = urllib.request.Request(url, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=_PROBE_SECONDS):
            return True
    except urllib.error.HTTPError:
        return True  # A refusal of HEAD is an answer too.
    except (OSError, ValueError):
        return False
