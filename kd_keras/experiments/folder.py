"""The folder of a run: its files, and which of its stages are done."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from kd_keras.experiments import repair
from kd_keras.experiments.data_identity import DATA, as_text, keep_or_refuse
from kd_keras.experiments.stage_record import STAGES, Damage, DamagedError, StageRecord, digest_of
from kd_keras.recipes.recipe import Recipe
from kd_keras.recipes.stage import (
    ASSISTANTS,
    MORE_TEACHERS,
    NETWORKS,
    STUDENT,
    STUDENT_ALONE,
    TEACHER,
)
from kd_keras.whole_file import remove_unfinished, write_whole

if TYPE_CHECKING:
    import keras

RECIPE = "recipe.json"
HISTORY = "history.csv"
REPORT = "report.json"
PAGE = "report.html"
SHEET = "report.csv"
FLOAT32 = "student_float32.tflite"
INT8 = "student_int8.tflite"
EXPORT = "export.json"
# What is kept of each network: while it is trained its state and its best epoch, then itself.
CHECKPOINT, BEST, NETWORK = _OF_A_NETWORK = ("checkpoint_{}.npz", "best_{}.keras", "{}.keras")
_BEST_OF_OLD = "best_{}.weights.h5"
# The files of a run as they are deleted. What marks the folder as finished goes first, what marks
# it as ours last: a deletion that is cut short leaves an unfinished run, which --fresh can delete.
FILES = (
    *(REPORT, STAGES, PAGE, SHEET, EXPORT, INT8, FLOAT32),
    *(name.format(n) for n in reversed(NETWORKS) for name in (*_OF_A_NETWORK, _BEST_OF_OLD)),
    *(HISTORY, DATA, RECIPE),
)
# The stages beside the networks: what is known when a run begins, the phone's files, the report.
BEGUN, EXPORTED, REPORTED = "begun", "exported", "reported"
# What a repair does, by the stage.
AGAIN: Mapping[str, str] = {
    "": "takes the networks as they are, exports and measures",
    BEGUN: "writes it again from what the command says",
    TEACHER: "trains the teacher again",
    **{name: f"trains {name.replace('_', ' ')} again" for name in (*MORE_TEACHERS, *ASSISTANTS)},
    STUDENT_ALONE: "trains the student alone again",
    STUDENT: "trains the student again",
    EXPORTED: "exports the student again",
    REPORTED: "makes the report again",
}


def needs_of(recipe: Recipe) -> dict[str, tuple[str, ...]]:
    """Return the stages that each stage of a recipe's run is made from."""
    stages = recipe.stages()
    return {
        **{stage.name: stage.taught_by for stage in stages if stage.is_taught},
        EXPORTED: (STUDENT,),
        REPORTED: (*(stage.name for stage in stages), EXPORTED),
    }


START_OVER = "Delete that run and start over with --fresh, or choose another folder with --output."


@dataclasses.dataclass(frozen=True)
class RunFolder:
    """The folder of one run.

    Attributes:
        path: The folder.
        recipe: The recipe whose results it holds, or will hold.
        elsewhere: Results of stages that are kept in other folders, by their names.
        needs: The stages that each stage is made from; by default those of the recipe's run.
        again: What a repair of each stage does, in words.
    """

    path: Path
    recipe: Recipe
    elsewhere: Mapping[str, str] = dataclasses.field(default_factory=dict)
    needs: Mapping[str, tuple[str, ...]] | None = None
    again: Mapping[str, str] = dataclasses.field(default_factory=lambda: AGAIN)

    def network(self, name: str) -> Path:
        """Return where the trained network `name`, one of `NETWORKS`, is kept."""
        return self.path / NETWORK.format(name)

    def checkpoint(self, name: str) -> Path:
        """Return where training of the network `name` keeps its last complete epoch."""
        return self.path / CHECKPOINT.format(name)

    def best(self, name: str) -> Path:
        """Return where training of the network `name` keeps its best epoch, if that is wanted."""
        return self.path / BEST.format(name)

    @property
    def record(self) -> StageRecord:
        """What the finished stages left."""
        return StageRecord(self.path)

    def made_from(self, stage: str) -> dict[str, str]:
        """Return the results of the earlier stages that a stage is made from."""
        results = {name: done.result for name, done in self.record.stages().items()}
        results.update(self.elsewhere)
        needs = needs_of(self.recipe) if self.needs is None else self.needs
        return {name: results[name] for name in needs.get(stage, ()) if name in results}

    def is_done(self, stage: str) -> bool:
        """Whether a stage is finished, and made from what the earlier stages are now."""
        return self.record.has(stage, self.made_from(stage))

    def note(self, stage: str, files: Sequence[str], **what: Any) -> None:
        """Enter a finished stage, as `StageRecord.note`."""
        self.record.note(stage, files, made_from=self.made_from(stage), **what)

    def note_network(
        self, name: str, network: keras.Model, history: Sequence[Mapping[str, float]]
    ) -> None:
        """Enter a network that is trained and in its file.

        Args:
            name: Its name.
            network: Itself.
            history: The logs of its epochs.
        """
        from kd_keras.teachers.fingerprint import Fingerprint

        result = hashlib.sha256(Fingerprint(network)()).hexdigest()
        self.note(name, [self.network(name).name], result=result, history=history)

    def is_trained(self, name: str) -> bool:
        """Whether a network is trained, and none of another teacher.

        One that an earlier version of kd_keras left, which kept no record, is entered.

        Raises:
            ValueError: If such a file cannot be read.
        """
        from kd_keras.experiments.history import read_history
        from kd_keras.network_files import load_network

        path = self.network(name)
        if name in self.record.stages() or self.checkpoint(name).exists() or not path.exists():
            return self.is_done(name)
        try:
            network = load_network(path, name)
        except ValueError as error:
            raise ValueError(f"{error}. Once it is deleted, it is trained again.") from error
        self.note_network(name, network, read_history(self.path / HISTORY).get(name, []))
        return True

    def histories(self) -> dict[str, Sequence[Mapping[str, float]]]:
        """Return the logs of every trained network's epochs."""
        stages = self.record.stages()
        return {name: stages[name].history for name in NETWORKS if name in stages}

    def begin(
        self,
        fresh: bool = False,
        data: Mapping[str, Any] | None = None,
        repairs: bool = False,
        console: Console | None = None,
    ) -> None:
        """Make the folder this recipe's, where it is not yet, and clear what a killed run left.

        Args:
            fresh: Delete what an earlier run left here first: the files of a run, and no others.
            data: What tells the run's data from others, as JSON knows it.
            repairs: Whether stages whose files are damaged are taken away, to be done again.
            console: Where that is said.

        Raises:
            DamagedError: If files of an earlier run are damaged and `fresh` and `repairs` False.
            ValueError: If an earlier run left results of other data and `fresh` is False. Nothing
                is changed in either case.
        """
        if not fresh:
            self.check(repairs, console, data)
            if data is not None and (self.path / DATA).exists():
                keep_or_refuse(self.path, data, START_OVER)
        remove_unfinished(self.path)
        if fresh:
            for name in FILES:
                (self.path / name).unlink(missing_ok=True)
        if not (self.path / RECIPE).exists():
            write_whole(self.path / RECIPE, self.recipe.to_json())
        if data is not None:
            keep_or_refuse(self.path, data, START_OVER)
            if not self.is_done(BEGUN):
                self.note(BEGUN, [RECIPE, DATA])

    def damage(self) -> list[Damage]:
        """Return the files of finished stages, and the states of others, that are damaged."""
        done = {name for name in NETWORKS if not self.checkpoint(name).exists()}
        with contextlib.suppress(DamagedError):
            done.update(self.record.stages())
        unfinished = {name: self.checkpoint(name) for name in NETWORKS if name not in done}
        found = repair.damage_in(self.path, unfinished)
        if self.recipe.keep == "best":
            for name, checkpoint in unfinished.items():
                found += repair.damage_of_best(name, checkpoint, self.best(name))
        return found

    def check(
        self, repairs: bool, console: Console | None = None, data: Mapping[str, Any] | None = None
    ) -> None:
        """Look at all files of finished stages, and remove states of training that are behind them.

        Args:
            repairs: As for `begin`.
            console: As for `begin`.
            data: As for `begin`.

        Raises:
            DamagedError: If files are damaged and cannot, or may not, be made again.
        """
        try:
            done = self.record.stages()
        except DamagedError:
            done = {}
        if REPORTED in done and not (self.path / REPORT).exists():
            self.record.enter(REPORTED, None)  # whoever deletes it has it made again
        damage = self.damage()
        if not repairs:
            repair.refuse(self.path, damage, self.again)
        texts = {RECIPE: self.recipe.to_json(), DATA: None if data is None else as_text(data)}
        for found in damage:
            text = texts.get(found.file)
            if text is not None and digest_of(text) != done[BEGUN].files[found.file]:
                raise DamagedError(
                    f"In {str(self.path)!r} {found}, and was of another recipe or other data than "
                    f"this command's. {START_OVER}"
                )
        repair.take_away(self.path, damage, self.again, console or Console(), parted=(REPORT,))
        for name in NETWORKS:
            if name in done and self.record.has(name):
                # A process that was killed between noting the network and this left it.
                self.best(name).unlink(missing_ok=True)
                self.checkpoint(name).unlink(missing_ok=True)
