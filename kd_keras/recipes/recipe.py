"""`Recipe`: everything that decides the result of a run, and nothing else."""

from __future__ import annotations

import dataclasses
import difflib
import json
from collections.abc import Collection, Mapping
from typing import Any, Literal, get_args

from kd_keras.arguments import (
    check_choice,
    check_integer,
    check_number,
    check_temperature,
    check_text,
    plain,
)
from kd_keras.json_text import parse_json

Optimizer = Literal["sgd", "adam"]
# The names that `kd_keras.augment.policy_names()` gives; they stand here too because a recipe is
# read, checked and offered on the command line without importing keras-cv. A test compares them.
PolicyName = Literal[
    "none",
    "digits",
    "standard",
    "geometric",
    "colour",
    "noise",
    "blur",
    "cutout",
    "gridmask",
    "strong",
    "augmix",
    "mixup",
    "cutmix",
    "fmix",
]

_FORMAT = "kd_keras_recipe"
_FORMAT_VERSION = 1
_SMOKE_EPOCHS = 2
_SMOKE_EXAMPLES = 256
_SMOKE_BATCH = 64


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides the result of a run.

    Three networks are trained on one dataset: the teacher, the student alone, and the student with
    the teacher. The two students differ in the teacher's part of the loss and in nothing else: they
    share architecture, initial weights, order of the data, augmented views, optimizer, schedule and
    number of epochs. The distilled student minimises

    ```
    w * cross_entropy + (1 - w) * temperature^2 * KL(teacher || student at that temperature)
    ```

    and the other two the cross-entropy alone. Where data lie and where results go is not part of a
    recipe. All learning rates fall to zero along half a cosine.

    Attributes:
        dataset: 'digits' (embedded), a name of TensorFlow Datasets, or a folder of images.
        teacher: Architecture of the teacher, as `kd_keras.models.from_name` takes it.
        student: Architecture of the student, as `kd_keras.models.from_name` takes it.
        policy: Augmentation that all three networks are trained with.
        temperature: Softens the probabilities of teacher and student; 0.001 to 1000.
        student_loss_weight: w, the share of the labels in the distilled student's loss, 0 to 1.
        teacher_epochs: Epochs of the teacher.
        epochs: Epochs of each student.
        batch_size: Examples in a batch.
        optimizer: 'sgd' (Nesterov momentum 0.9) or 'adam', for all three networks.
        teacher_learning_rate: Initial learning rate of the teacher.
        learning_rate: Initial learning rate of each student.
        weight_decay: Decay of the kernels of all three networks, from 0 to below 1.
        seed: Seed of initial weights, order of the data and augmented views.
        limit: Train on the first `limit` examples only; None for all.
        image_size: Resize images to this height and width; None leaves them.

    Raises:
        ValueError: If a value is out of its range.

    Example:

    >>> from kd_keras.recipes import Recipe
    >>> recipe = Recipe(dataset="digits", teacher="resnet20", student="resnet8x4", epochs=10)
    >>> Recipe.from_json(recipe.to_json()) == recipe
    True

    Reference: Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", 2015,
    arXiv:1503.02531.
    """

    dataset: str
    teacher: str
    student: str
    policy: PolicyName = "standard"
    temperature: float = 4.0
    student_loss_weight: float = 0.1
    teacher_epochs: int = 30
    epochs: int = 30
    batch_size: int = 128
    optimizer: Optimizer = "sgd"
    teacher_learning_rate: float = 0.1
    learning_rate: float = 0.1
    weight_decay: float = 0.0
    seed: int = 0
    limit: int | None = None
    image_size: int | None = None

    def __post_init__(self) -> None:
        check_text("dataset", self.dataset, "digits")
        check_text("teacher", self.teacher, "resnet20")
        check_text("student", self.student, "resnet8")
        check_choice("policy", self.policy, get_args(PolicyName))
        check_temperature("temperature", self.temperature)
        check_number(
            "student_loss_weight",
            self.student_loss_weight,
            low=0,
            high=1,
            remedy="0 learns from the teacher alone, 1 from the labels alone.",
        )
        check_integer("teacher_epochs", self.teacher_epochs, 1)
        check_integer("epochs", self.epochs, 1)
        check_integer("batch_size", self.batch_size, 1)
        check_choice("optimizer", self.optimizer, get_args(Optimizer))
        for name in ("teacher_learning_rate", "learning_rate"):
            check_number(
                name, getattr(self, name), above=0, remedy="Try 0.1 with sgd or 0.001 with adam."
            )
        check_number(
            "weight_decay",
            self.weight_decay,
            low=0,
            high=0.999,
            remedy="Common values are 0 and 0.0005.",
        )
        check_integer("seed", self.seed, 0)
        for name in ("limit", "image_size"):
            if getattr(self, name) is not None:
                check_integer(name, getattr(self, name), 1)
        for field in dataclasses.fields(self):
            object.__setattr__(self, field.name, plain(getattr(self, field.name)))

    def smoke(self) -> Recipe:
        """Return a copy that runs in seconds: at most 2 epochs of 256 examples in batches of 64."""
        return dataclasses.replace(
            self,
            teacher_epochs=min(self.teacher_epochs, _SMOKE_EPOCHS),
            epochs=min(self.epochs, _SMOKE_EPOCHS),
            limit=min(self.limit or _SMOKE_EXAMPLES, _SMOKE_EXAMPLES),
            batch_size=min(self.batch_size, _SMOKE_BATCH),
        )

    def differences(self, other: Recipe) -> dict[str, tuple[Any, Any]]:
        """Return the fields in which the two differ, each with this and the other's value."""
        mine, theirs = dataclasses.asdict(self), dataclasses.asdict(other)
        return {
            name: (value, theirs[name]) for name, value in mine.items() if value != theirs[name]
        }

    def told_differences(self, other: Recipe, but: Collection[str] = ()) -> str:
        """Return in words how this one, which is "there", differs from `other`, which is "here".

        Args:
            other: The other recipe.
            but: Fields that may differ.
        """
        return "; ".join(
            f"{name} is {there!r} there and {here!r} here"
            for name, (there, here) in self.differences(other).items()
            if name not in but
        )

    def to_json(self) -> str:
        """Return the recipe as JSON text that `from_json` reads."""
        fields = {_FORMAT: _FORMAT_VERSION, **dataclasses.asdict(self)}
        return json.dumps(fields, indent=2) + "\n"

    @staticmethod
    def is_recipe(fields: Any) -> bool:
        """Whether `fields`, read from JSON, come from `to_json` of this or another version."""
        return isinstance(fields, Mapping) and _FORMAT in fields

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """Return the recipe that `to_json` wrote.

        Args:
            text: JSON text.

        Raises:
            ValueError: If the text is no recipe, has a field that no recipe has, lacks one that
                has no default, or holds a value out of range.
        """
        try:
            fields = parse_json(text)
        except ValueError as error:
            raise ValueError(
                f"A recipe must be JSON text; it ends or breaks at {error}."
            ) from error
        if not cls.is_recipe(fields) or fields[_FORMAT] != _FORMAT_VERSION:
            raise ValueError(
                f'A recipe must be a JSON object with "{_FORMAT}": {_FORMAT_VERSION}. Received: '
                f"{text[:80]!r}. Write recipes with `Recipe.to_json`."
            )
        values = {name: value for name, value in fields.items() if name != _FORMAT}
        known = {field.name: field for field in dataclasses.fields(cls)}
        for name in values:
            if name not in known:
                close = difflib.get_close_matches(name, known, n=1)
                raise ValueError(
                    f"A recipe has no field {name!r}. Received: {name}={values[name]!r}. "
                    + (f"Did you mean {close[0]!r}?" if close else f"Its fields: {list(known)}.")
                )
        missing = [
            name
            for name, field in known.items()
            if field.default is dataclasses.MISSING and name not in values
        ]
        if missing:
            raise ValueError(f"A recipe needs the fields {missing}. Received: {sorted(values)}.")
        return cls(**values)
