"""Record on a cluster with Apache Beam (extra `beam`): one shard is one element."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from kd_keras.network_files import load_network
from kd_keras.replay.folder import RecordingFolder
from kd_keras.replay.policies import configs, from_configs, replayable
from kd_keras.replay.recording import Work, begin, write_shard
from kd_keras.replay.training_data import Batches
from kd_keras.replay.writing import finish


@dataclasses.dataclass(frozen=True)
class Job:
    """What a worker needs to know, in a form that can be sent.

    Attributes:
        teacher: The `.keras` file.
        load_data: Returns the data.
        folder: The recording.
        epochs: As for `record`.
        augmentation: Configs of the policies.
        k: As for `record`.
        steps_per_shard: As for `record`.
    """

    teacher: str
    load_data: Callable[[], Any]
    folder: str
    epochs: int
    augmentation: list[Any]
    k: int | None
    steps_per_shard: int

    def begin(self) -> Work:
        """Load everything, and begin or join the recording."""
        return begin(
            load_network(Path(self.teacher), "teacher"),
            self.load_data(),
            self.folder,
            self.epochs,
            from_configs(self.augmentation),
            self.k,
            self.steps_per_shard,
        )


def record_on_beam(
    teacher: str | os.PathLike[str],
    load_data: Callable[[], Any],
    folder: str | os.PathLike[str],
    *,
    epochs: int,
    augmentation: Any = None,
    k: int | None = None,
    steps_per_shard: int = 500,
    options: Any = None,
) -> RecordingFolder:
    """Record as `record` does, with the shards spread over the workers of a Beam runner.

    Every worker loads the teacher and the data once, and writes whole files. Shards that are there
    already are left alone, so a pipeline that failed is started again.

    Args:
        teacher: A `.keras` file that all workers can read.
        load_data: Called on each worker, returns the data as `record` takes them, such as
            `functools.partial(kd_keras.data.load, "cifar10", batch_size=128)`.
        folder: A folder that all workers can write.
        epochs: As for `record`.
        augmentation: As for `record`.
        k: As for `record`.
        steps_per_shard: As for `record`.
        options: `apache_beam.options.pipeline_options.PipelineOptions`, which name the runner;
            `None` for the local one.

    Raises:
        ImportError: If Apache Beam is not installed.
        ValueError: As `record`.

    Example:

    ```python
    load = functools.partial(kd_keras.data.load, "digits", batch_size=64)
    kd_keras.replay.record_on_beam("teacher.keras", load, "recording", epochs=10)
    ```
    """
    try:
        import apache_beam as beam
    except ImportError as error:
        raise ImportError(
            "Apache Beam is not installed. Install it with `pip install 'kd-keras[beam]'`, or use "
            "kd_keras.replay.record, which any number of processes may call."
        ) from error
    parts = configs(replayable(augmentation))
    file, path = os.path.abspath(teacher), os.path.abspath(folder)
    job = Job(file, load_data, path, epochs, parts, k, steps_per_shard)
    # Here too: what cannot be recorded is refused before a cluster is asked.
    recording = job.begin().recording
    missing = {shard.file for shard in recording.missing()}
    numbers = [n for n, shard in enumerate(recording.shards()) if shard.file in missing]
    with beam.Pipeline(options=options) as pipeline:
        (
            pipeline
            | "shards" >> beam.Create(numbers)
            | "spread" >> beam.Reshuffle()
            | "label" >> beam.ParDo(_writer(beam, job))
        )
    return finish(recording)


def _writer(beam: Any, job: Job) -> Any:
    """Return what writes the shards whose numbers it gets, and loads the teacher once."""

    class Writer(beam.DoFn):
        def setup(self) -> None:
            self.work = job.begin()

        def process(self, number: int) -> Iterator[int]:
            shard = self.work.recording.shards()[number]
            if write_shard(self.work, shard, Batches(self.work.training)):
                yield number

    return Writer()
