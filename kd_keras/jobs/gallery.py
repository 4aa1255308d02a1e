"""Show what a policy does to the data, and what the teacher makes of it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from kd_keras.arguments import check_integer
from kd_keras.folders import (
    made_folder,
    refuse_foreign_file,
    refuse_foreign_page,
    refuse_links_out,
)
from kd_keras.jobs.teacher import load_data, load_teacher, teacher_file
from kd_keras.portable import portable
from kd_keras.quiet_start import starting
from kd_keras.report.saying import say
from kd_keras.whole_file import write_whole, written_beside

PAGE = "views.html"

# Mixing takes its partners from the batch, so there are more images than are shown.
_BATCH = 64
_TOP = 3


def write_views(
    dataset: str,
    policies: Sequence[str],
    output: str | os.PathLike[str],
    *,
    teacher: str | os.PathLike[str] | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    examples: int = 8,
    views: int = 6,
    seed: int = 0,
    command: str | None = None,
    console: Console | None = None,
) -> tuple[Path, ...]:
    """Write sheets of views with the teacher's three likeliest classes under each.

    `output` gets `views.html`, one page for all policies that needs no other file and no network,
    and `views_<policy>.png` for each. Column k holds the views of step k - 1 of the policy's seed,
    of the first images of the first training batch.

    Args:
        dataset: As `kd_keras.data.load` takes it.
        policies: Names of `kd_keras.augment.policy_names()`.
        output: Folder for the files; it is created where needed.
        teacher: A `.keras` file; by default `saved_models/<dataset>/teacher.keras`, and without
            either the views stand with the data's labels alone.
        data_dir: As `kd_keras.data.load` takes it.
        examples: Images to show, from 1 to 64.
        views: Views of each image, at least 1.
        seed: Seed of the data's order and of the views.
        command: What the page says makes it again; by default this call.
        console: Where messages go; by default standard output.

    Returns:
        The files: the page first, then the pictures in the order of the policies.

    Raises:
        ValueError: If an argument is out of range, the teacher does not fit the data, or `output`
            cannot be written or holds a page or a picture of these names of somebody else.
        ConnectionError: If the data must be downloaded and cannot be.

    Example:

    ```python
    from kd_keras.jobs import write_views

    write_views("digits", ["digits", "cutmix"], "views", teacher="teacher.keras")
    ```
    """
    console = console or Console()
    _check(policies, examples, views)
    path = teacher_file(dataset, teacher)
    folder = Path(output)
    with starting(console, "Starting TensorFlow and opening the data"):
        from kd_keras import augment
        from kd_keras.evaluate.view_quality import label_views
        from kd_keras.report import gallery

        refuse_foreign_page(folder / PAGE, gallery.KIND)
        for name in policies:
            refuse_links_out(folder, [_picture(folder, name).name])
            refuse_foreign_file(_picture(folder, name), gallery.PICTURE_MARK, gallery.KIND)
        network = None if path is None else load_teacher(path)
        splits = load_data(dataset, network, data_dir, batch_size=_BATCH, seed=seed)
        images, labels = next(iter(splits.training()))
        if len(images) < examples:
            raise ValueError(
                f"`examples` must be at most {len(images)}, the training images of {dataset!r}. "
                f"Received: examples={examples}."
            )
        label = None if network is None else label_views(network)
        looker = _Looker(label, splits.info.class_names, examples)
        batch = {"images": images, "labels": labels}
        sheets = []
        for name in policies:
            policy = augment.named(name, seed=seed)
            drawn = [
                looker.look(batch),
                *(looker.look(policy(batch, step=v)) for v in range(views)),
            ]
            sheets.append(gallery.Sheet(name, tuple(zip(*drawn, strict=True))))
    made_folder(folder, "output", "Choose another with --output.")  # now that nothing is refused
    written = [folder / PAGE]
    page = gallery.render_gallery(
        f"{splits.info.title}: what teacher and student see",
        command or _call(dataset, policies, output),
        sheets,
        None if path is None else portable(path),
    )
    write_whole(folder / PAGE, page)
    missing: set[str] = set()
    for sheet in sheets:
        written.append(_picture(folder, sheet.policy))
        with written_beside(written[-1]) as beside:
            beside.write_bytes(gallery.draw_sheet(sheet, missing))
    if missing:
        say(
            console,
            f"No installed font has {''.join(sorted(missing))}: boxes stand in their place in the "
            f".png pictures, not in {PAGE}. Install one that has them, such as Noto Sans.",
        )
    if path is None:
        console.print(
            "No teacher, so the views stand with the data's labels alone. With --teacher "
            "FILE.keras they get the teacher's.",
            highlight=False,
        )
    return tuple(written)


def _picture(folder: Path, policy: str) -> Path:
    return folder / f"views_{policy}.png"


@dataclasses.dataclass(frozen=True)
class _Looker:
    """Turns batches into what the gallery shows."""

    label: Callable[[Any, int], np.ndarray] | None
    class_names: tuple[str, ...]
    examples: int

    def look(self, batch: dict[str, Any]) -> list[Any]:
        from kd_keras.report.gallery import View

        images = batch["images"][: self.examples]
        predictions: list[Any] = [()] * self.examples
        if self.label is not None:
            predictions = [self._likeliest(row) for row in self.label(images, 0)]
        labels = self._labels(batch)
        return [
            View(image, own, guessed)
            for image, own, guessed in zip(images.numpy(), labels, predictions, strict=True)
        ]

    def _likeliest(self, probabilities: np.ndarray) -> tuple[tuple[str, float], ...]:
        best = np.argsort(-probabilities, kind="stable")[:_TOP]
        return tuple((self.class_names[k], float(probabilities[k])) for k in best)

    def _labels(self, batch: dict[str, Any]) -> list[tuple[tuple[str, float], ...]]:
        first = [self.class_names[k] for k in batch["labels"].numpy()[: self.examples]]
        if "share" not in batch:
            return [((name, 1.0),) for name in first]
        second = [self.class_names[k] for k in batch["second_labels"].numpy()[: self.examples]]
        shares = batch["share"].numpy().tolist()
        return [
            ((one, 1.0),) if one == other else ((one, share), (other, 1.0 - share))
            for one, other, share in zip(first, second, shares, strict=False)
        ]


def _call(dataset: str, policies: Sequence[str], output: str | os.PathLike[str]) -> str:
    names = f"{portable(dataset)!r}, {list(policies)!r}, {portable(output)!r}"
    return f"kd_keras.jobs.write_views({names})"


def _check(policies: Sequence[str], examples: Any, views: Any) -> None:
    if not policies:
        raise ValueError(f"`policies` must name a policy. Received: policies={policies!r}.")
    for name, value in (("examples", examples), ("views", views)):
        check_integer(name, value, 1, _BATCH)
