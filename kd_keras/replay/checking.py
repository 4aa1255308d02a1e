"""Ask the teacher again about some of the recorded views."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from kd_keras.arguments import check_integer
from kd_keras.replay.folder import RecordingFolder, open_folder, rows_in
from kd_keras.replay.labelling import Labeller, fingerprint
from kd_keras.replay.policies import from_configs, replayable
from kd_keras.replay.training_data import Batches, as_training_data


@dataclasses.dataclass(frozen=True)
class Checked:
    """How far stored labels are from what the teacher says now.

    Attributes:
        views: How many were compared.
        other_views: How many of them are of another image, or of another place in the order.
        other_classes: How many hold other classes than the k likeliest of now; where all classes
            are stored, how many have another likeliest one. Ties within rounding count.
        mean_difference: Mean of |p stored - p now| over the stored classes.
        largest_difference: The largest of them.
    """

    views: int
    other_views: int
    other_classes: int
    mean_difference: float
    largest_difference: float


def check(
    teacher: Any,
    data: Any,
    folder: str | os.PathLike[str],
    *,
    batches: int = 8,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Checked:
    """Draw a sample of recorded batches again, ask the teacher, and compare.

    The checksums of all files are compared too.

    Args:
        teacher: The teacher that was recorded.
        data: The data that were recorded.
        folder: The recording.
        batches: How many batches to compare, at least 1.
        seed: Which ones.
        progress: Called with the number of batches done.

    Raises:
        ValueError: If the recording is unfinished or damaged, or is of another teacher or of other
            data.

    Example:

    ```python
    checked = kd_keras.replay.check(teacher, data, "recording")
    checked.other_views, checked.mean_difference  # 0 and some 1e-5, on the machine that recorded
    ```
    """
    batches = check_integer("batches", batches, 1)
    recording = open_folder(folder)
    recording.refuse_unfinished()
    recording.refuse_damaged(again=True)
    manifest = recording.manifest
    training = as_training_data(data)
    recording.refuse_other_data(training)
    if fingerprint(teacher) != manifest.teacher["fingerprint"]:
        raise ValueError(
            f"`teacher` is not the one that {str(recording.path)!r} is of: its weights or layers "
            f"are others. Received: {teacher.name!r}; {manifest.teacher['name']!r} was recorded."
        )
    chain = replayable(from_configs(manifest.augmentation))
    labeller = Labeller(teacher, chain, training, manifest.k).of(manifest.salt)
    total = manifest.epochs * manifest.steps_per_epoch
    chosen = np.random.default_rng(seed).choice(total, min(batches, total), replace=False)
    source = Batches(training)
    found = []
    for number, step in enumerate(sorted(int(step) for step in chosen), start=1):
        epoch, first = divmod(step, manifest.steps_per_epoch)
        for _, batch in source.of(epoch, first, 1):
            identity, now = labeller.answers(batch, step)
        rows = _recorded(recording, epoch, first)
        found.append(_compared(rows, identity.numpy(), now.numpy()))
        if progress is not None:
            progress(number)
    differences = np.concatenate([each[2].ravel() for each in found])
    return Checked(
        views=sum(len(each[0]) for each in found),
        other_views=int(sum(each[0].sum() for each in found)),
        other_classes=int(sum(each[1].sum() for each in found)),
        mean_difference=float(differences.mean()),
        largest_difference=float(differences.max()),
    )


def _recorded(recording: RecordingFolder, epoch: int, step: int) -> np.ndarray:
    """Return the rows of one batch of an epoch."""
    manifest = recording.manifest
    shard = manifest.files_of(epoch)[step // manifest.steps_per_shard]
    rows = rows_in(recording.file(shard), manifest.rows.dtype)
    start = (step - shard.first) * manifest.order["batch_size"]
    return rows[start : start + manifest.order["batch_size"]]


def _compared(
    rows: np.ndarray, identity: np.ndarray, now: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return, for each view, whether it is another, has other classes, and |dp| of the stored."""
    stored = rows["log_probabilities"].astype("float32")
    if "classes" in (rows.dtype.names or ()):
        ids = rows["classes"].astype("int64")
        likeliest = np.argsort(-now, axis=1, kind="stable")[:, : ids.shape[1]]
        other = (np.sort(ids, axis=1) != np.sort(likeliest, axis=1)).any(axis=1)
        now = np.take_along_axis(now, ids, axis=1)
    else:
        other = stored.argmax(axis=1) != now.argmax(axis=1)
    return rows["identity"] != identity, other, np.abs(np.exp(stored) - np.exp(now))
