"""Run the teacher once over augmented epochs and keep what it says of every view."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kd_keras.arguments import check_integer, is_integer
from kd_keras.folders import made_folder
from kd_keras.replay.folder import RecordingFolder
from kd_keras.replay.labelling import Labeller, fingerprint
from kd_keras.replay.manifest import Manifest, Shard, differences, versions
from kd_keras.replay.policies import (
    PROBE,
    configs,
    refuse_other_views,
    replayable,
    write_probe,
)
from kd_keras.replay.training_data import Batches, TrainingData, as_training_data
from kd_keras.replay.writing import (
    Busy,
    claimed,
    finish,
    join_or_begin,
    manifest_lock,
    write_rows,
)

# Some minutes of a large teacher's work; what a killed process loses at most.
_STEPS_PER_SHARD = 500


def record(
    teacher: Any,
    data: Any,
    folder: str | os.PathLike[str],
    *,
    epochs: int,
    augmentation: Any = None,
    k: int | None = None,
    steps_per_shard: int = _STEPS_PER_SHARD,
    share: tuple[int, int] = (1, 1),
    progress: Callable[[int], None] | None = None,
) -> RecordingFolder:
    """Store what the teacher says of every view of `epochs` augmented epochs.

    A `ReplayTeacher` on the folder then trains any number of students on those very views with no
    teacher at all. Of each view the log-probabilities of the k likeliest classes are kept, as
    float16: 4 + 4k bytes, 4 + 2k where k is all classes.

    A call that was killed goes on where it stopped, and loses one shard at most; more `epochs` are
    added to what is there. Any number of processes may call with the same folder at once and share
    the shards; machines without a common lock take a `share` each.

    Args:
        teacher: A trained `keras.Model` that returns logits or probabilities `(batch, classes)`, or
            a `kd_keras.teachers.Frozen` where its inputs or classes are not the student's.
        data: What `kd_keras.data.load` returns, or a finite `tf.data.Dataset` of (images, labels)
            batches in a fixed order.
        folder: Where to; it is created where needed.
        epochs: How many epochs, at least 1.
        augmentation: What students will see: a seeded policy, a list of those, or `None`.
        k: Classes to keep of each view, at least 1; `None` for all.
        steps_per_shard: Batches in a file, at most; a file never spans two epochs.
        share: (i, n): every n-th shard, beginning with the i-th, counted from 1.
        progress: Called with the number of batches done, of this call.

    Returns:
        The folder and its manifest; `missing()` says what other processes have still to write.

    Raises:
        ValueError: If the folder holds another recording (of another teacher, other data, another
            policy, ...), or an argument cannot be used; the message names it.

    Example:

    >>> import keras, kd_keras
    >>> from kd_keras.replay import record
    >>> data = kd_keras.data.load("digits", data_dir="data", batch_size=256)
    >>> teacher = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(),
    ...                             keras.layers.Dense(10)])
    >>> recording = record(teacher, data, "recording", epochs=2, k=3)
    >>> len(recording.missing()), recording.manifest.rows.dtype.itemsize
    (0, 16)

    Reference: Shen, Xing, "A Fast Knowledge Distillation Framework for Visual Recognition", ECCV
    2022, arXiv:2112.01528; Wu et al., "TinyViT: Fast Pretraining Distillation for Small Vision
    Transformers", ECCV 2022, arXiv:2207.10666.
    """
    _check_share(share)
    work = begin(teacher, data, folder, epochs, augmentation, k, steps_per_shard)
    write_shards(work, share, progress)
    return finish(work.recording)


@dataclasses.dataclass(frozen=True)
class Work:
    """A recording that was begun, and what it takes to go on.

    Attributes:
        recording: The folder.
        training: The data.
        labeller: The teacher and the augmentation.
    """

    recording: RecordingFolder
    training: TrainingData
    labeller: Labeller


def begin(
    teacher: Any,
    data: Any,
    folder: str | os.PathLike[str],
    epochs: int,
    augmentation: Any,
    k: int | None,
    steps_per_shard: int,
) -> Work:
    """Begin a recording, or join the one in the folder; arguments and errors as for `record`."""
    epochs = check_integer("epochs", epochs, 1)
    steps_per_shard = check_integer("steps_per_shard", steps_per_shard, 1)
    training = as_training_data(data)
    chain = replayable(augmentation)
    labeller = Labeller(teacher, chain, training, k)
    inputs = training.inputs
    manifest = Manifest(
        teacher={"name": teacher.name, "fingerprint": fingerprint(teacher)},
        data=training.identity,
        order=training.order,
        inputs=inputs,
        steps_per_epoch=training.steps_per_epoch,
        augmentation=configs(chain),
        classes=labeller.rows.classes,
        k=labeller.rows.k,
        steps_per_shard=min(steps_per_shard, training.steps_per_epoch),
        versions=versions(),
        epochs=epochs,
    )
    path = made_folder(folder, "folder", "Choose another.")
    recording = join_or_begin(path, manifest)
    recording.refuse_damaged()
    with manifest_lock(path):
        begun = (path / PROBE).exists()
        if not begun:
            write_probe(path, chain, inputs["shape"], inputs["dtype"])
    if begun:
        changed = "; ".join(differences("versions", recording.manifest.versions, versions()))
        refuse_other_views(path, chain, inputs["shape"], inputs["dtype"], changed)
    return Work(recording, training, labeller.of(recording.manifest.salt))


def write_shards(
    work: Work, share: tuple[int, int] = (1, 1), progress: Callable[[int], None] | None = None
) -> None:
    """Write the shards of a share that nobody else has or writes.

    Args:
        work: What was begun.
        share: As for `record`.
        progress: As for `record`.
    """
    done = 0

    def advance() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done)

    while True:
        batches = Batches(work.training)
        missing = {shard.file for shard in work.recording.missing()}
        written = [
            write_shard(work, shard, batches, advance)
            for shard in work.recording.shards()[share[0] - 1 :: share[1]]
            if shard.file in missing
        ]
        # Once more: a process that was killed meanwhile has left its shard.
        if not any(written):
            return


def write_shard(
    work: Work, shard: Shard, batches: Batches, advance: Callable[[], None] = lambda: None
) -> bool:
    """Write one shard, and say whether it was this process that did.

    Args:
        work: What was begun.
        shard: Which one.
        batches: Where the data come from.
        advance: Called after each batch.
    """
    try:
        with claimed(work.recording, shard) as is_missing:
            if not is_missing:
                return False
            rows = []
            for step, batch in batches.of(shard.epoch, shard.first, shard.steps):
                rows.append(work.labeller(batch, step))
                advance()
            _check_sizes(rows, shard, work.training)
            write_rows(work.recording, shard, np.concatenate(rows))
            return True
    except Busy:
        return False


def _check_sizes(rows: Sequence[np.ndarray], shard: Shard, training: TrainingData) -> None:
    sizes = [len(batch) for batch in rows]
    size = training.order["batch_size"]
    whole = sizes
    if shard.first + shard.steps == training.steps_per_epoch:
        whole = [*sizes[:-1], size if sizes[-1] <= size else sizes[-1]]
    if set(whole) - {size}:
        raise ValueError(
            "`data` must give batches of one size; the last of an epoch may be smaller. Received: "
            f"batches of {sorted(set(sizes))} examples. Batch with one batch_size."
        )


def _check_share(share: Any) -> None:
    is_pair = isinstance(share, (tuple, list)) and len(share) == 2
    if not is_pair or not all(map(is_integer, share)) or not 1 <= share[0] <= share[1]:
        raise ValueError(
            "`share` must be (i, n) with i from 1 to n, such as (1, 4) for the first of four. "
            f"Received: share={share!r}."
        )
