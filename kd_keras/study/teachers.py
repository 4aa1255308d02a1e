"""Teachers of an earlier study, taken over into one whose students learn otherwise."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence

from kd_keras.regular_file import read_text
from kd_keras.run.data_identity import DATA, keep_or_refuse
from kd_keras.run.folder import TEACHER, RunFolder
from kd_keras.study.folder import StudyFolder, existing_study
from kd_keras.whole_file import written_beside

# What of a recipe is the students' alone, and leaves the teachers as they are.
_OF_STUDENTS = {"student", "temperature", "student_loss_weight", "epochs", "learning_rate"}


def take_teachers(
    study: StudyFolder, earlier: str | os.PathLike[str], augmentations: Sequence[str]
) -> None:
    """Copy the trained teachers of another study, where this one has none yet.

    Args:
        study: Where they go.
        earlier: Folder of the other study.
        augmentations: What the wanted teachers were trained with.

    Raises:
        ValueError: If there is no such study, one of its teachers is not trained, it trained them
            by another recipe, or on other data than this study already has results of.
    """
    other = existing_study(earlier)
    fields = other.recipe.told_differences(study.recipe, but=_OF_STUDENTS)
    if fields:
        raise ValueError(
            f"The teachers in {str(other.path)!r} were trained by another recipe: {fields}. Leave "
            "`teachers` out (--teachers on the command line) to train teachers of this one."
        )
    for augmentation in augmentations:
        there = RunFolder(other.teacher(augmentation), other.recipe).network(TEACHER)
        here = RunFolder(study.teacher(augmentation), study.recipe).network(TEACHER)
        if here.exists():
            continue
        if not there.exists():
            raise ValueError(
                f"{str(other.path)!r} holds no trained teacher on {augmentation!r}. Received: "
                f"teachers={str(earlier)!r}. Finish that study, or leave `teachers` out "
                "(--teachers on the command line)."
            )
        # The first cell compares its data with those that the teacher has seen.
        data = json.loads(read_text(other.path / DATA))
        keep_or_refuse(study.path, data, "Its students could not be compared with these.")
        here.parent.mkdir(parents=True, exist_ok=True)
        with written_beside(here) as beside:
            shutil.copyfile(there, beside)
