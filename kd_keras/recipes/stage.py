"""`Stage`: one training of a recipe, as its fields say it."""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path

TEACHER, STUDENT_ALONE, STUDENT = "teacher", "student_alone", "student"
# Those that teach together with the teacher; as many as there may be.
MORE_TEACHERS = tuple(f"teacher_{number}" for number in range(2, 10))
# Those that stand between teacher and student in a chain; as many as a chain may have.
ASSISTANTS = tuple(f"assistant_{number}" for number in range(1, 10))
# All networks that a recipe may have, in the order in which they are trained.
NETWORKS = (TEACHER, *MORE_TEACHERS, *ASSISTANTS, STUDENT_ALONE, STUDENT)

_FUNCTION = re.compile(r"(?P<module>.+\.py|[A-Za-z_][\w.]*):(?P<function>[A-Za-z_]\w*)")


@dataclasses.dataclass(frozen=True)
class Stage:
    """The training of one network.

    Attributes:
        name: One of `NETWORKS`.
        network: An architecture, a `.keras` file or a function, as `Recipe.teacher`.
        policy: Name of the augmentation policy.
        epochs: How many.
        learning_rate: Where the learning rate begins.
        rate_field: The field of the recipe that says so, for the remedy of an error.
        value_range: (low, high) of the images that the network takes.
        taught_by: Names of the networks that teach it; none of them where the labels alone do.
        seed: Added to the recipe's seed for its initial weights: generations begin apart.
    """

    name: str
    network: str
    policy: str
    epochs: int
    learning_rate: float
    rate_field: str
    value_range: tuple[float, float]
    taught_by: tuple[str, ...] = ()
    seed: int = 0

    @property
    def role(self) -> str:
        """The field of the recipe that names the network."""
        if self.name in ASSISTANTS:
            return "assistants"
        if self.name in MORE_TEACHERS:
            return "more_teachers"
        return TEACHER if self.name == TEACHER else STUDENT

    @property
    def is_teacher(self) -> bool:
        """Whether it is one of those with which teaching begins."""
        return self.name == TEACHER or self.name in MORE_TEACHERS

    @property
    def is_taught(self) -> bool:
        """Whether a network teaches it."""
        return bool(self.taught_by)

    @property
    def title(self) -> str:
        """What a person reads about it."""
        kind = {
            **dict.fromkeys((TEACHER, *MORE_TEACHERS), "Teacher"),
            **dict.fromkeys(ASSISTANTS, "Assistant"),
        }
        return f"{kind.get(self.name, 'Student')} {network_title(self.network)}"


def is_file(network: str) -> bool:
    """Whether a network of a recipe is a `.keras` file."""
    return network.endswith(".keras")


def function_of(network: str) -> tuple[str, str] | None:
    """Return module and function where a network of a recipe is one, as in `mymodels.py:build`."""
    found = _FUNCTION.fullmatch(network)
    return None if found is None else (found["module"], found["function"])


def is_own(network: str) -> bool:
    """Whether a network of a recipe is the user's own, and none by the name of its kind."""
    return is_file(network) or function_of(network) is not None


def network_title(network: str) -> str:
    """Return what a reader knows a network by: of a file its name, not where it is."""
    return Path(network).name if is_own(network) else network


def folder_name(dataset: str) -> str:
    """Return what the folder of a dataset's results is called: the last part of its name or path.

    Example:

    >>> from kd_keras.recipes.stage import folder_name
    >>> folder_name("./photos/"), folder_name("emnist/balanced"), folder_name("mnist:3.0.1")
    ('photos', 'balanced', 'mnist-3.0.1')
    """
    return Path(os.path.abspath(dataset)).name.replace(":", "-")
