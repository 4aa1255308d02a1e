"""The grid of a study: which cells there are. Imports no TensorFlow."""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
from collections.abc import Sequence
from typing import Any, cast, get_args

from kd_keras.arguments import check_integer
from kd_keras.json_text import parse_json
from kd_keras.recipes.distillation import Distillation, distilled_by
from kd_keras.recipes.recipe import FEEDBACK, Recipe, StudentPolicyName, TeacherPolicyName

# Ends the name of a policy of which the teacher picks the views that it is least sure of.
PICK = "+pick"
NO_TEACHER = "none"

_WORD = re.compile(r"[A-Za-z0-9_+]*")
_FORMAT = "kd_keras_study"
_FORMAT_VERSION = 1


@dataclasses.dataclass(frozen=True, order=True)
class Cell:
    """One training of one student.

    Attributes:
        distillation: How the teacher teaches; "none" for the labels alone.
        augmentation: What the student sees.
        teacher_augmentation: What the teacher was trained on; "" where there is no teacher.
        seed: Seed of the student's weights, order of the data and views.
    """

    distillation: str
    augmentation: str
    teacher_augmentation: str
    seed: int

    def __post_init__(self) -> None:
        # Cells are read from their results too, and their words become names of folders.
        for word in (self.distillation, self.augmentation, self.teacher_augmentation):
            if not isinstance(word, str) or not _WORD.fullmatch(word):
                raise ValueError(
                    "A cell is named by words of letters, digits, '_' and '+'. Received: "
                    f"{word!r}. If it comes from a result, delete that, and its cell runs again."
                )
        check_integer("seed", self.seed, 0)

    @property
    def name(self) -> str:
        """The name of its folder, and what a person reads about it."""
        teacher = f"-teacher-{self.teacher_augmentation}" if self.teacher_augmentation else ""
        return f"{self.distillation}-{self.augmentation}{teacher}-seed{self.seed}"

    def recipe(self, shared: Recipe) -> Recipe:
        """Return what the cell runs: its recipe is that of the study but for what the cell says."""
        policy = cast(StudentPolicyName, self.augmentation.removesuffix(PICK))
        picks = self.augmentation.endswith(PICK)
        recipe = dataclasses.replace(shared, seed=self.seed, policy=policy, pick=picks)
        if self.distillation == NO_TEACHER:
            return recipe
        return distilled_by(recipe, self.distillation)

    @property
    def treatment(self) -> Treatment:
        """What the cell shares with those that differ in the seed alone."""
        return Treatment(self.distillation, self.augmentation, self.teacher_augmentation)


@dataclasses.dataclass(frozen=True, order=True)
class Treatment:
    """What was done to a student, whatever the seed; the attributes are those of `Cell`."""

    distillation: str
    augmentation: str
    teacher_augmentation: str

    @property
    def title(self) -> str:
        """What a table calls it."""
        taught = self.distillation
        if self.teacher_augmentation:
            taught += f" (teacher: {self.teacher_augmentation})"
        return f"{taught}, {self.augmentation}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Study:
    """A grid of cells over one recipe: every distillation with every augmentation and seed.

    Cells share everything of the recipe but the policy, the seed and the part of the teacher. The
    teacher is trained once for each teacher augmentation, with the recipe's own seed.

    Attributes:
        recipe: What all cells share.
        distillation: "none" (labels alone), "kl" (softened KL), "logits_mse", "standardized_kl",
            "decoupled_kd", "dist", or KL and a loss between features: "attention+kl",
            "similarity+kl", "relational+kl", "hint+kl". Each at most once.
        augmentation: Names of policies; "<policy>+pick" lets the teacher pick views of the policy
            (`kd_keras.augment.Pick`), "feedback" adapts to the gap between teacher and student
            (`kd_keras.augment.Feedback`), and "uniform" is its control that does not.
        teacher_augmentation: Names of policies that a teacher is trained with.
        seeds: How many seeds, counted from the recipe's.

    Raises:
        ValueError: If a name is unknown or comes twice, or there is no cell at all.

    Example:

    >>> from kd_keras.recipes import digits
    >>> from kd_keras.experiments.study import Study
    >>> study = Study(recipe=digits(), augmentation=("none", "digits"), seeds=3)
    >>> len(study.cells())
    12
    """

    recipe: Recipe
    distillation: Sequence[str] = ("none", "kl")
    augmentation: Sequence[str] = ("none", "standard")
    teacher_augmentation: Sequence[str] = ("standard",)
    seeds: int = 3

    def __post_init__(self) -> None:
        policies = get_args(TeacherPolicyName)
        _check_names("distillation", self.distillation, (NO_TEACHER, *get_args(Distillation)))
        _check_names("augmentation", self.augmentation, get_args(StudentPolicyName), suffix=PICK)
        _check_names("teacher_augmentation", self.teacher_augmentation, policies)
        check_integer("seeds", self.seeds, 1)
        for name in ("distillation", "augmentation", "teacher_augmentation"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if not self.cells():
            raise ValueError(
                "The study has no cells: an augmentation that asks the teacher cannot go without "
                f"distillation. Received: distillation={self.distillation}, "
                f"augmentation={self.augmentation}. Add 'kl' to `distillation`."
            )

    def cells(self) -> tuple[Cell, ...]:
        """Return the cells, seed after seed, so that an early stop leaves whole grids.

        A cell without distillation needs no teacher and stands in the grid once. Augmentations that
        ask the teacher are left out there.
        """
        cells = []
        for offset, distillation, augmentation in itertools.product(
            range(self.seeds), self.distillation, self.augmentation
        ):
            if distillation == NO_TEACHER:
                if not asks_the_teacher(augmentation):
                    cells.append(Cell(distillation, augmentation, "", self.recipe.seed + offset))
                continue
            cells += [
                Cell(distillation, augmentation, teacher, self.recipe.seed + offset)
                for teacher in self.teacher_augmentation
            ]
        return tuple(cells)

    def left_out(self) -> tuple[str, ...]:
        """Return the augmentations that the cells without distillation do not have."""
        if NO_TEACHER not in self.distillation:
            return ()
        return tuple(name for name in self.augmentation if asks_the_teacher(name))

    def to_json(self) -> str:
        """Return what every grid in one folder must share, as JSON text: the recipe."""
        return text_of_study(self.recipe)


# What cells say, and their study's recipe does not.
_OF_CELLS: dict[str, Any] = {
    "policy": "none",
    "pick": False,
    "losses": ("KLDivergence",),
    "combine": "convex",
    "warm_up": 0.0,
    "teacher_policy": None,
    "more_teachers": (),
    "combine_teachers": "each",
    "teacher_weights": "equal",
    "assistants": (),
    "taught_by": "last",
}


def of_cells(recipe: Recipe, usual: Recipe) -> list[str]:
    """Return the fields that differ from a usual recipe's and have no effect in a study."""
    return [name for name in recipe.differences(usual) if name in _OF_CELLS]


def without_distillation(recipe: Recipe) -> Recipe:
    """Return a recipe that says nothing of how a student is taught: its cells say that."""
    policies = {"policy", "teacher_policy"}
    plain = {name: value for name, value in _OF_CELLS.items() if name not in policies}
    return dataclasses.replace(recipe, **plain)


def policy_of_teacher(recipe: Recipe) -> TeacherPolicyName:
    """Return what the teacher of a recipe sees; where that follows a student, "standard"."""
    policy = recipe.teacher_policy or recipe.policy
    return cast(TeacherPolicyName, policy) if policy in get_args(TeacherPolicyName) else "standard"


def text_of_study(recipe: Recipe) -> str:
    """Return the recipe that all cells share, as JSON text."""
    shared = json.loads(dataclasses.replace(recipe, **_OF_CELLS).to_json())
    return json.dumps({_FORMAT: _FORMAT_VERSION, "recipe": shared}, indent=2) + "\n"


def recipe_of_study(text: str) -> Recipe:
    """Return the recipe in what `Study.to_json` wrote.

    Raises:
        ValueError: If the text is none.
    """
    try:
        fields = parse_json(text)
    except ValueError as error:
        raise ValueError(f"The text is no study of this version of kd_keras: {error}.") from error
    try:
        if fields[_FORMAT] != _FORMAT_VERSION:
            raise KeyError(_FORMAT)
        return Recipe.from_json(json.dumps(fields["recipe"]))
    except (KeyError, TypeError) as error:
        raise ValueError(f"The text is no study of this version of kd_keras: {error!r}.") from error


def asks_the_teacher(augmentation: str) -> bool:
    """Whether the augmentation needs the teacher's outputs."""
    return augmentation == FEEDBACK or augmentation.endswith(PICK)


def shard_of(cells: Sequence[Cell], shard: tuple[int, int]) -> tuple[Cell, ...]:
    """Return the cells of the k-th of n parts, k counted from 1: every n-th cell.

    Raises:
        ValueError: If `shard` is not (k, n) with 1 <= k <= n.
    """
    k, n = shard
    if not 1 <= k <= n:
        raise ValueError(
            f"`shard` must be k/n with k from 1 to n, such as 1/2. Received: shard={k}/{n}."
        )
    return tuple(cells[k - 1 :: n])


def _check_names(argument: str, names: Any, known: Sequence[str], suffix: str = "") -> None:
    if isinstance(names, str) or not isinstance(names, Sequence) or not names:
        raise ValueError(f"`{argument}` must be a list of names. Received: {argument}={names!r}.")
    for name in names:
        base = name.removesuffix(suffix) if suffix and isinstance(name, str) else name
        if base not in known:
            also = f", or one of them with {suffix!r}" if suffix else ""
            raise ValueError(
                f"`{argument}` must hold names out of {', '.join(map(repr, known))}{also}. "
                f"Received: {name!r}."
            )
    if len(set(names)) < len(names):
        raise ValueError(
            f"`{argument}` must hold each name once. Received: {argument}={tuple(names)!r}."
        )
