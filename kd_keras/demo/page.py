"""Write the page: the files, the runtime and the drawing area in one HTML file."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import gzip
import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from kd_keras.demo.web_runtime import BUILDS, VERSION, web_runtime
from kd_keras.escaping import html_template
from kd_keras.folders import own_mark, refuse_foreign_page
from kd_keras.pictures import MOST_PIXELS
from kd_keras.portable import portable
from kd_keras.quiet_start import quiet_start
from kd_keras.whole_file import write_whole

if TYPE_CHECKING:
    from kd_keras.export import Classifier

PAGE = "index.html"
KIND = "demo"
# What LiteRT.js exchanges with a model.
_DTYPES = ("float32", "uint8")


def write_demo(
    student: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    teacher: str | os.PathLike[str] | None = None,
    labels: str | os.PathLike[str] | None = None,
    command: str | None = None,
) -> Path:
    """Write a web page that runs `.tflite` image classifiers in the browser.

    The page is one file, `index.html`, that holds the models and LiteRT's web runtime (about 8 MB):
    it works offline, opened from the disk or from a server, and is forbidden by its own policy to
    load or send anything. One draws on it, drops a picture or takes one with the camera, and sees
    probabilities and milliseconds; the pixels reach the models as in `kd_keras.jobs.classify`.

    Args:
        student: The `.tflite` file.
        output: Folder for the page, its own: it is created where needed, and one that holds other
            things and no such page is refused.
        teacher: Another `.tflite` file, to stand beside it.
        labels: A text file with one label a line, instead of the labels in the files.
        command: What the page says made it; by default this call.

    Returns:
        The page.

    Raises:
        ValueError: If a file is damaged, no image classifier or of a dtype that browsers do not
            take, the labels do not fit, or `output` holds something else or cannot be written.
        ConnectionError: If the runtime is not in the cache and npm cannot be reached.

    Example:

    ```python
    from kd_keras.demo import write_demo

    write_demo("student_int8.tflite", "demo", teacher="teacher.tflite")
    ```
    """
    named = [("student", student)]
    if teacher is not None:
        named.insert(0, ("teacher", teacher))
    with _folder(Path(output)) as folder:
        _refuse_foreign(folder)
        html = _rendered(named, labels, command or _call(student))
        write_whole(folder / PAGE, html)
    return Path(output) / PAGE


def _rendered(
    named: Sequence[tuple[str, str | os.PathLike[str]]],
    labels: str | os.PathLike[str] | None,
    command: str,
) -> str:
    with quiet_start():
        from kd_keras.export import Classifier

        classifiers = [(role, Classifier(path, labels)) for role, path in named]
    models = [_described(role, classifier) for role, classifier in classifiers]
    runtime = web_runtime()
    packed = {
        f"{build}.{kind}": _packed(content)
        for build in BUILDS
        for kind, content in zip(("js", "wasm"), runtime.builds[build], strict=True)
    }
    for model, (_, classifier) in zip(models, classifiers, strict=True):
        packed[model["id"]] = _packed(classifier.model.content)
    imports = {
        "@litertjs/core": _module(runtime.core),
        "@litertjs/wasm-utils": _module(runtime.wasm_utils),
    }
    return html_template("kd_keras.demo", "demo.html.j2").render(
        title=classifiers[-1][1].name,
        models=models,
        config={"models": models, "builds": BUILDS, "most_pixels": MOST_PIXELS},
        import_map={"imports": imports},
        packed=packed,
        version=VERSION,
        command=command,
        mark=Markup(own_mark(KIND)),
    )


def _described(role: str, classifier: Classifier) -> dict[str, Any]:
    """Return what the page must know of a model, as JSON knows it."""
    model = classifier.model
    encodings = {
        "input_encoding": model.input_encoding,
        "output_encoding": model.output_encoding(classifier.output),
    }
    for end, encoding in encodings.items():
        if encoding.dtype not in _DTYPES:
            raise ValueError(
                f"LiteRT's web runtime takes and gives {' and '.join(_DTYPES)} alone. Received: "
                f"{str(model.path)!r} with {end.removesuffix('_encoding')} of dtype "
                f"{encoding.dtype}. Export the student with float inputs and outputs; inside it "
                "may be int8."
            )
    height, width, channels = classifier.image_shape
    return {
        "id": f"model-{role}",
        "title": f"{role.capitalize()}: {classifier.name}",
        "file": model.path.name,
        "size": f"{len(model.content) / 1000:,.1f} kB",
        "input": f"{height} x {width} {'RGB' if channels == 3 else 'grey'}",
        "sha256": hashlib.sha256(model.content).hexdigest(),
        "shape": classifier.image_shape,
        "batch": model.input_shape[0] or 1,
        "labels": classifier.labels,
        "output": classifier.output,
        "outputs": classifier.outputs,
        "mean": classifier.mean.tolist(),
        "std": classifier.std.tolist(),
        **{end: dataclasses.asdict(encoding) for end, encoding in encodings.items()},
    }


def _packed(content: bytes) -> str:
    # Without a time stamp, so that the same files give the same page.
    return base64.b64encode(gzip.compress(content, 6, mtime=0)).decode("ascii")


def _module(script: bytes) -> str:
    return f"data:text/javascript;base64,{base64.b64encode(script).decode('ascii')}"


def _call(student: str | os.PathLike[str]) -> str:
    return f"kd_keras.demo.write_demo({portable(student)!r})"


def _refuse_foreign(folder: Path) -> None:
    """Raise unless the folder is empty or the page in it is one of ours."""
    refuse_foreign_page(folder / PAGE, KIND)
    others = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    if others and PAGE not in others:
        raise ValueError(
            f"{str(folder)!r} is not empty and holds no page of `kd-keras {KIND}`. Received: a "
            f"folder with {others[:5]}{' and more' if len(others) > 5 else ''}. Nothing in it is "
            "touched. Choose another folder with --output."
        )


@contextlib.contextmanager
def _folder(path: Path) -> Iterator[Path]:
    """Give the folder, made where it is not yet; take away what was made if the block fails."""
    missing = [part for part in (path, *path.parents) if not part.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
        yield path
    except BaseException as error:
        for part in missing:
            with contextlib.suppress(OSError):
                part.rmdir()
        if isinstance(error, OSError) and not isinstance(error, ConnectionError):
            raise ValueError(
                f"The page cannot be written: {error.strerror or error}. Choose another folder "
                f"with --output. Received: output={str(path)!r}"
            ) from error
        raise
