"""Teachers of an earlier study, taken over into one whose students learn otherwise."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from kd_keras.experiments.data_identity import copy_identity
from kd_keras.experiments.repair import refuse
from kd_keras.experiments.stage_record import StageRecord
from kd_keras.experiments.study.cell_folder import results_in
from kd_keras.experiments.study.folder import StudyFolder, existing_study
from kd_keras.folders import made_folder
from kd_keras.recipes.stage import TEACHER
from kd_keras.whole_file import written_beside

# What of a recipe is the students' alone, and leaves the teachers as they are.
_OF_STUDENTS = {
    "student",
    "student_value_range",
    "temperature",
    "student_loss_weight",
    "epochs",
    "learning_rate",
}
_OTHER_DATA = "Its students could not be compared with these."


def find_teachers(
    study: StudyFolder, earlier: str | os.PathLike[str], augmentations: Sequence[str]
) -> list[tuple[Path, Path]]:
    """Return which folders of another study's trained teachers are to become which of this one.

    Args:
        study: Where they go, where it has none yet.
        earlier: Folder of the other study.
        augmentations: What the wanted teachers were trained with.

    Raises:
        ValueError: If there is no such study, one of its teachers is not trained or damaged, or it
            trained them by another recipe.
    """
    other = existing_study(earlier)
    fields = other.recipe.told_differences(study.recipe, but=_OF_STUDENTS)
    if fields:
        raise ValueError(
            f"The teachers in {str(other.path)!r} were trained by another recipe: {fields}. Leave "
            "`teachers` out (--teachers on the command line) to train teachers of this one."
        )
    found = []
    for augmentation in augmentations:
        there, here = other.teacher(augmentation), study.teacher(augmentation)
        if results_in(here, study.recipe).network(TEACHER).exists():
            continue
        folder = results_in(there, other.recipe)
        if not folder.network(TEACHER).exists():
            raise ValueError(
                f"{str(other.path)!r} holds no trained teacher on {augmentation!r}. Received: "
                f"teachers={str(earlier)!r}. Finish that study, or leave `teachers` out "
                "(--teachers on the command line)."
            )
        refuse(there, folder.damage(), folder.again)
        found.append((there, here))
    return found


def copy_teachers(study: StudyFolder, found: Sequence[tuple[Path, Path]]) -> None:
    """Copy trained teachers.

    Args:
        study: Where they go.
        found: From `find_teachers`.

    Raises:
        ValueError: If they were trained on other data than this study already has results of.
    """
    for there, here in found:
        # The first cell compares its data with those that the teacher has seen.
        copy_identity(there.parent.parent, study.path, _OTHER_DATA)
        made_folder(here, "output", "Choose another with --output.")
        source = results_in(there, study.recipe)
        file = source.network(TEACHER)
        with written_beside(here / file.name, file.stat().st_size) as beside:
            shutil.copyfile(file, beside)
        if source.record.has(TEACHER):
            StageRecord(here).enter(TEACHER, source.record.stages()[TEACHER])
