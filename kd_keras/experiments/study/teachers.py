"""Teachers of an earlier study, taken over into one whose students learn otherwise."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kd_keras.experiments.data_identity import (
    OWN_NETWORKS,
    identity_in,
    refuse_other_teacher,
)
from kd_keras.experiments.own_files import own_files
from kd_keras.experiments.repair import refuse
from kd_keras.experiments.stage_record import StageRecord
from kd_keras.experiments.study.cell_folder import results_in
from kd_keras.experiments.study.folder import StudyFolder, existing_study
from kd_keras.folders import made_folder, refuse_links_out
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
_OTHER_DATA = (
    "Its students could not be compared with these. Leave `teachers` out (--teachers on the "
    "command line) to train teachers of this study."
)


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


def data_with_teachers(
    study: StudyFolder, found: Sequence[tuple[Path, Path]], data: Mapping[str, Any] | None
) -> Mapping[str, Any] | None:
    """Return what data a study is of that takes teachers over. Writes nothing.

    Args:
        study: Where they go.
        found: From `find_teachers`.
        data: What is known of this study's data; None where they are not opened here. Then it is
            what the folder notes, or else what the other study's folder does, which the first cell
            compares with the data that it opens.

    Raises:
        ValueError: If the teachers were trained on other data, or are of another own file.
    """
    if not found:
        return data
    other = found[0][0].parent.parent
    if data is None:
        with contextlib.suppress(ValueError):  # refused or written again by `StudyFolder.begin`
            data = identity_in(study.path, _OTHER_DATA)
    if data is None:
        own = own_files(study.recipe)
        theirs = identity_in(other, _OTHER_DATA)
        data = {name: value for name, value in theirs.items() if name != OWN_NETWORKS}
        data |= {OWN_NETWORKS: own} if own else {}
    refuse_other_teacher(other, data, _OTHER_DATA)
    return data


def copy_teachers(study: StudyFolder, found: Sequence[tuple[Path, Path]]) -> None:
    """Copy trained teachers.

    Args:
        study: Where they go.
        found: From `find_teachers`.
    """
    for there, here in found:
        for folder in (here.parent, here):
            refuse_links_out(folder)
        made_folder(here, "output", "Choose another with --output.")
        source = results_in(there, study.recipe)
        file = source.network(TEACHER)
        with written_beside(here / file.name, file.stat().st_size) as beside:
            shutil.copyfile(file, beside)
        if source.record.has(TEACHER):
            StageRecord(here).enter(TEACHER, source.record.stages()[TEACHER])
