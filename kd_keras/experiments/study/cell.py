"""Run one cell of a study, from nothing or from where it was killed, to its result."""

from __future__ import annotations

import os
from pathlib import Path
from typing import cast

import keras
from rich.console import Console

from kd_keras.experiments.stage_record import StageRecord
from kd_keras.experiments.stages import Material, prepare
from kd_keras.experiments.study.cell_folder import claimed
from kd_keras.experiments.study.folder import Diverged, StudyFolder
from kd_keras.experiments.study.grid import Cell
from kd_keras.experiments.study.measuring import TestViews, measure
from kd_keras.experiments.study.training import train_student, train_teacher
from kd_keras.graph_errors import NonFiniteLossError
from kd_keras.recipes.recipe import TeacherPolicyName
from kd_keras.recipes.stage import TEACHER


class CellRunner:
    """Runs cells one after the other in one process, and keeps between them what they share.

    Args:
        study: The folder of the study.
        data_dir: Where the data lie.
        console: Where progress goes.
        robustness_examples: As for `run_study`.
    """

    def __init__(
        self,
        study: StudyFolder,
        data_dir: str | os.PathLike[str] | None,
        console: Console,
        robustness_examples: int,
    ):
        self._study = study
        self._data_dir = data_dir
        self._console = console
        self._robustness_examples = robustness_examples
        self._views: TestViews | None = None

    def run(self, cell: Cell) -> None:
        """Train and measure a cell, where not yet done.

        Raises:
            Busy: If another process works on it.
            Diverged: If the loss of the student is not finite any more.
            NonFiniteLossError: If that of the teacher is not.
        """
        # What earlier cells left in Keras's global state would grow with every cell.
        keras.backend.clear_session()
        teacher: Path | None = None
        elsewhere: dict[str, str] = {}
        if cell.teacher_augmentation:
            policy = cast(TeacherPolicyName, cell.teacher_augmentation)
            teacher = train_teacher(self._study, policy, self._data_dir, self._console)
            elsewhere[TEACHER] = StageRecord(teacher.parent).stages()[TEACHER].result
        recipe = cell.recipe(self._study.recipe)
        with claimed(self._study.cell(cell), recipe, elsewhere) as folder:
            if self._study.is_finished(cell):
                return
            material: Material = prepare(recipe, self._data_dir, taught_by=())
            self._study.check_data(material.identity())
            try:
                train_student(cell, folder, material, teacher, self._console)
            except NonFiniteLossError as error:
                raise Diverged(str(error)) from error
            if self._views is None:
                self._views = TestViews(material.splits, self._robustness_examples)
            with self._console.status("Measuring on the test split ..."):
                measure(cell, folder, self._views, teacher, material.splits)
