"""`Recipe`: everything that decides the result of a run, and nothing else."""

from __future__ import annotations

import dataclasses
import difflib
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, get_args

from kd_keras.arguments import (
    check_choice,
    check_integer,
    check_number,
    check_range,
    check_temperature,
    check_text,
    check_truth,
    plain,
)
from kd_keras.json_text import parse_json
from kd_keras.portable import portable
from kd_keras.recipes.stage import (
    ASSISTANTS,
    MORE_TEACHERS,
    STUDENT,
    STUDENT_ALONE,
    TEACHER,
    Stage,
    is_own,
    network_title,
)
from kd_keras.recipes.term import Term

Optimizer = Literal["sgd", "adam"]
Schedule = Literal["cosine", "linear", "constant"]
Combine = Literal["convex", "sum"]
Keep = Literal["last", "best"]
TaughtBy = Literal["last", "all"]
CombineTeachers = Literal["each", "probability", "logit", "majority"]
TeacherWeights = Literal["equal", "confidence", "accuracy"]
# The names that `kd_keras.augment.policy_names()` gives; they stand here too because a recipe is
# read, checked and offered on the command line without importing keras-cv. A test compares them.
PolicyName = Literal[
    "none",
    "digits",
    "standard",
    "geometric",
    "turns",
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
# Those of texts beside "none", as `kd_keras.tasks.TextTask.policies` has them.
TextPolicyName = Literal["word_dropout", "text"]
# Those of recordings beside "none", as `kd_keras.tasks.AudioTask.policies` has them.
SpeechPolicyName = Literal["speech", "speech_strong", "speech_mixup"]
TeacherPolicyName = Literal[PolicyName, TextPolicyName, SpeechPolicyName]
# Policies that follow the gap between teacher and student, and their control that does not.
FEEDBACK, UNIFORM = "feedback", "uniform"
StudentPolicyName = Literal[TeacherPolicyName, "feedback", "uniform"]

_OURS = (0.0, 255.0)  # the range of images that networks by name take
_FORMAT = "kd_keras_recipe"
_FORMAT_VERSION = 1
# What stands in a smoke run for data that no package brings.
_GENERATED = {"membrane": "blobs", "glue/sst2": "opinions", "spoken_digit": "tones"}
# Left out of what is written where they say nothing: earlier versions did not know them.
_ADDED: dict[str, Any] = {
    "more_teachers": (),
    "combine_teachers": "each",
    "teacher_weights": "equal",
    "calibrate_teacher": False,
    "assistants": (),
    "taught_by": "last",
}
_SMOKE_EPOCHS = 2
_SMOKE_EXAMPLES = 256
_SMOKE_BATCH = 64


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides the result of a run.

    Three networks are trained on one dataset: the teacher, the student alone, and the student with
    the teacher. The two students differ in the teacher's part and in nothing else: they share
    initial weights, order of the data, augmented views, optimizer, schedule and number of epochs.
    The distilled student minimises, with w the share of the labels,

    ```
    convex:  w * cross_entropy + (1 - w) * sum of weight * loss over `losses`
    sum:     w * cross_entropy +           sum of weight * loss over `losses`
    ```

    and the other two the cross-entropy alone. Where data lie and where results go is not part of a
    recipe.

    Attributes:
        dataset: 'digits' (embedded), a name of TensorFlow Datasets, or a folder of images.
        teacher: An architecture, as `kd_keras.models.from_name` takes it; a .keras file; or a
            function that returns a network, as in mymodels.py:build.
        student: As `teacher`. A file's weights are those that the student begins with.
        more_teachers: Networks that teach together with `teacher`, as it, at most 8. What the
            fields say of the teacher is so for each: its epochs, learning rate, policy, whether it
            is trained. They begin with weights of the seeds seed + 1, seed + 2 and so on.
        combine_teachers: How several teachers are heard: 'each' by the recipe's losses, with an
            equal share; or as one, by the mean of their 'probability' or of their 'logit', or by a
            'majority' of their votes.
        teacher_weights: How much each teacher counts where they are heard as one: all 'equal', or
            for each example by its 'confidence' or by its 'accuracy' on the label.
        calibrate_teacher: Whether whoever teaches is calibrated first: its logits are divided by
            the temperature at which its probabilities fit the validation split's labels best.
        assistants: Architectures between teacher and student, at most 9: a chain, in which each is
            trained as the student is, and teaches the next one. They begin with weights of the
            seeds seed + 1, seed + 2 and so on.
        taught_by: Who teaches in a chain: the 'last' network before, or 'all' that were before, by
            the mean of their losses.
        policy: Augmentation of the networks. 'feedback' follows the gap between teacher and
            student; 'uniform' is its control.
        pick: Of several views by the policy, the distilled student gets the one that the teacher is
            least sure of.
        temperature: Softens the probabilities of teacher and student, 0.001 to 1000, in losses that
            state no temperature of their own.
        student_loss_weight: w, the share of the labels in the distilled student's loss, 0 to 1.
        losses: What the student learns from the teacher: losses of kd_keras.losses as Python writes
            them, with a weight where it is not 1, as in "0.5 * DecoupledKD(beta=2.0)".
        combine: How the labels' and the teacher's part add up: 'convex' or 'sum', as above.
        warm_up: Share of the training over which the weights of `losses` rise from 0, 0 to 1.
        teacher_policy: Augmentation of the teacher; None for that of the students.
        train_teacher: Whether to train the teacher: 'yes', 'no' (it is taken as it is), or 'auto':
            a file is taken as it is, and refused where its answers are near chance; others are
            trained.
        teacher_epochs: Epochs of the teacher.
        epochs: Epochs of each student.
        batch_size: Examples in a batch.
        optimizer: 'sgd' (Nesterov) or 'adam', for all three networks.
        momentum: Of sgd, from 0 to below 1.
        schedule: How learning rates fall to zero: along half a 'cosine' or a 'linear' one;
            'constant' ones stay.
        teacher_learning_rate: Initial learning rate of the teacher.
        learning_rate: Initial learning rate of each student.
        weight_decay: Decay of the kernels of architectures by name, from 0 to below 1.
        keep: Keep each network as it is after the 'last' epoch, or after the 'best' on the
            validation split.
        seed: Seed of initial weights, order of the data and augmented views.
        limit: Train on the first `limit` examples only; None for all.
        image_size: Resize images to this height and width; None leaves them, or takes the size that
            the student's file is made for.
        teacher_value_range: (low, high) of the images that the teacher takes; a network of ours
            takes 0 to 255.
        student_value_range: Likewise of the student.

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
    more_teachers: tuple[str, ...] = ()
    combine_teachers: CombineTeachers = "each"
    teacher_weights: TeacherWeights = "equal"
    calibrate_teacher: bool = False
    assistants: tuple[str, ...] = ()
    taught_by: TaughtBy = "last"
    policy: StudentPolicyName = "standard"
    pick: bool = False
    temperature: float = 4.0
    student_loss_weight: float = 0.1
    losses: tuple[str, ...] = ("KLDivergence",)
    combine: Combine = "convex"
    warm_up: float = 0.0
    teacher_policy: TeacherPolicyName | None = None
    train_teacher: Literal["auto", "yes", "no"] = "auto"
    teacher_epochs: int = 30
    epochs: int = 30
    batch_size: int = 128
    optimizer: Optimizer = "sgd"
    momentum: float = 0.9
    schedule: Schedule = "cosine"
    teacher_learning_rate: float = 0.1
    learning_rate: float = 0.1
    weight_decay: float = 0.0
    keep: Keep = "last"
    seed: int = 0
    limit: int | None = None
    image_size: int | None = None
    teacher_value_range: tuple[float, float] = (0.0, 255.0)
    student_value_range: tuple[float, float] = (0.0, 255.0)

    def __post_init__(self) -> None:
        check_text("dataset", self.dataset, "digits")
        check_text("teacher", self.teacher, "resnet20")
        check_text("student", self.student, "resnet8")
        check_choice("policy", self.policy, get_args(StudentPolicyName))
        if self.teacher_policy is not None:
            check_choice("teacher_policy", self.teacher_policy, get_args(TeacherPolicyName))
        for name, choices in (
            ("train_teacher", ("auto", "yes", "no")),
            ("taught_by", get_args(TaughtBy)),
            ("combine_teachers", get_args(CombineTeachers)),
            ("teacher_weights", get_args(TeacherWeights)),
            ("combine", get_args(Combine)),
            ("schedule", get_args(Schedule)),
            ("keep", get_args(Keep)),
        ):
            check_choice(name, getattr(self, name), choices)
        teachers = _checked_networks("more_teachers", self.more_teachers, len(MORE_TEACHERS))
        object.__setattr__(self, "more_teachers", teachers)
        random = [each for each in (self.teacher, *self.more_teachers) if not is_own(each)]
        if self.train_teacher == "no" and random:
            raise ValueError(
                "`train_teacher` may be 'no' for networks of your own, which have trained weights. "
                f"Received: train_teacher='no' with the teacher {random[0]!r}, which begins with "
                "random ones. Leave it out, or name a .keras file."
            )
        if self.teacher_weights != "equal" and self.combine_teachers == "each":
            raise ValueError(
                "`teacher_weights` is for teachers that are heard as one. Received: "
                f"teacher_weights={self.teacher_weights!r} with combine_teachers='each'. Take "
                "combine_teachers='probability'."
            )
        object.__setattr__(self, "assistants", _checked_assistants(self.assistants))
        check_truth("pick", self.pick)
        check_truth("calibrate_teacher", self.calibrate_teacher)
        if self.pick and self.policy in (FEEDBACK, UNIFORM):
            raise ValueError(
                "`pick` chooses among views by a fixed policy. Received: pick=True, "
                f"policy={self.policy!r}. Take another policy, or leave `pick` out."
            )
        check_temperature("temperature", self.temperature)
        check_number(
            "student_loss_weight",
            self.student_loss_weight,
            low=0,
            high=1,
            remedy="0 learns from the teacher alone, 1 from the labels alone.",
        )
        if isinstance(self.losses, str) or not isinstance(self.losses, Sequence) or not self.losses:
            raise ValueError(
                f"`losses` must be a list of at least one loss. Received: losses={self.losses!r}. "
                "To learn from the labels alone take student_loss_weight=1."
            )
        object.__setattr__(self, "losses", tuple(self.losses))
        self.terms()
        check_number("warm_up", self.warm_up, low=0, high=1, remedy="0 for none.")
        check_number("momentum", self.momentum, low=0, below=1, remedy="0.9 is usual.")
        for name in ("teacher_value_range", "student_value_range"):
            low, high = check_range(name, getattr(self, name), "Usual are (0, 255) and (0, 1).")
            object.__setattr__(self, name, (float(low), float(high)))
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

    def terms(self) -> tuple[Term, ...]:
        """Return `losses`, read."""
        return tuple(map(Term.parse, self.losses))

    def stages(self) -> tuple[Stage, ...]:
        """Return the trainings in their order: teachers, assistants, student alone, and taught."""
        teacher = Stage(
            TEACHER,
            self.teacher,
            self.teacher_policy or self.policy,
            self.teacher_epochs,
            self.teacher_learning_rate,
            "teacher_learning_rate",
            self.teacher_value_range,
        )
        more = [
            dataclasses.replace(
                teacher,
                name=name,
                network=network,
                value_range=self.teacher_value_range if is_own(network) else _OURS,
                seed=number,
            )
            for number, (name, network) in enumerate(
                zip(MORE_TEACHERS, self.more_teachers, strict=False), start=1
            )
        ]
        alone = Stage(
            STUDENT_ALONE,
            self.student,
            self.policy,
            self.epochs,
            self.learning_rate,
            "learning_rate",
            self.student_value_range,
        )
        assistants = [
            dataclasses.replace(alone, name=name, network=network, value_range=_OURS, seed=number)
            for number, (name, network) in enumerate(
                zip(ASSISTANTS, self.assistants, strict=False), start=1
            )
        ]
        taught: list[Stage] = []
        last = before = (TEACHER, *(stage.name for stage in more))
        for stage in (*assistants, dataclasses.replace(alone, name=STUDENT)):
            by = before if self.taught_by == "all" else last
            taught.append(dataclasses.replace(stage, taught_by=by))
            last = (stage.name,)
            before += last
        return teacher, *more, *taught[:-1], alone, taught[-1]

    def stage(self, name: str) -> Stage:
        """Return the training of one of the networks."""
        return next(stage for stage in self.stages() if stage.name == name)

    @property
    def title(self) -> str:
        """Who teaches whom, as a person reads it."""
        teachers = " and ".join(map(network_title, (self.teacher, *self.more_teachers)))
        taught = " teaches ".join(map(network_title, (*self.assistants, self.student)))
        return f"{teachers} {'teach' if self.more_teachers else 'teaches'} {taught}"

    def smoke(self, without_files: bool = False) -> Recipe:
        """Return a copy that runs in seconds: at most 2 epochs of 256 examples in batches of 64.

        Args:
            without_files: Take generated data in the place of data that a user must bring.
        """
        changes: dict[str, Any] = {}
        if without_files and self.dataset in _GENERATED:
            changes = {"dataset": _GENERATED[self.dataset], "image_size": None}
        return dataclasses.replace(
            self,
            **changes,
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
        return json.dumps({_FORMAT: _FORMAT_VERSION, **self.to_dict()}, indent=2) + "\n"

    def to_dict(self) -> dict[str, Any]:
        """Return the fields by their names, in forms that JSON has."""
        values = {
            name: value
            for name, value in dataclasses.asdict(self).items()
            if name not in _ADDED or value != _ADDED[name]
        }
        fields: dict[str, Any] = json.loads(json.dumps(values))
        return fields

    def portable(self) -> Recipe:
        """Return a copy to hand on: folders and files are named, and not where they lie."""
        return dataclasses.replace(
            self,
            dataset=portable(self.dataset),
            teacher=portable(self.teacher),
            more_teachers=tuple(map(portable, self.more_teachers)),
            student=portable(self.student),
        )

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
        # JSON knows no tuples.
        for name, value in values.items():
            if isinstance(value, list):
                values[name] = tuple(value)
        return cls(**values)


def _checked_networks(
    name: str, networks: Any, most: int, kind: str = "networks"
) -> tuple[str, ...]:
    """Return a list of networks as a tuple, or raise `ValueError`."""
    is_list = isinstance(networks, Sequence) and not isinstance(networks, str)
    if not is_list or len(networks) > most:
        raise ValueError(
            f"`{name}` must be a list of at most {most} {kind}. Received: {name}={networks!r}. "
            "Write ['resnet20'], or [] for none."
        )
    for network in networks:
        check_text(name, network, "resnet20")
    return tuple(networks)


def _checked_assistants(assistants: Any) -> tuple[str, ...]:
    networks = _checked_networks("assistants", assistants, len(ASSISTANTS), "architectures")
    for network in filter(is_own, networks):
        raise ValueError(
            "`assistants` must be architectures by name: networks of your own may be the first "
            f"and the last of a chain. Received: assistants with {network!r}. Train it by a "
            "recipe of its own, and pass its file as the teacher of the next one."
        )
    return networks
