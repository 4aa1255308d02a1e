"""What flows through a step: one batch of examples, and what a network answers to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

# Entries of `Batch.extras`, by their owners.
SAMPLE_INDEX = "sample_index"  # numbers of the examples, `(batch,)`, for losses that remember each
CHOICE = "choice"  # which transform of an adaptive augmentation each view went through, `(batch,)`
RECORDED = "kd_keras_replay"  # what was recorded of the views; a name that no model's input has
ASKED = "asked"  # the teacher's logits of these very views, where the augmentation had to ask it

STUDENTS = "students"  # the student's `Answer` as constants, for a teacher that listens to it


class Mix(NamedTuple):
    """What a mixing augmentation leaves of the second example that is in each view.

    Attributes:
        y: Labels of the smaller share, in the structure of `Batch.y`.
        weight: Weights that belong to them, or `None`.
        lam: The mixing coefficient, `(batch,)` float32 in `[0.5, 1]`: the share of `Batch.y`.
    """

    y: Any
    weight: Any
    lam: Any


class Spatial(NamedTuple):
    """A part of the labels or of their weights that belongs to places of the picture.

    Attributes:
        of: "y" or "weight", the part of the batch that it is in.
        path: Keys and indices that lead to it there; empty for the whole.
        kind: "map", values of pixels `(batch, height, width)` or with a fourth axis; "boxes", a
            dict of 'boxes' `(batch, boxes, 4)` and 'classes' `(batch, boxes)` as keras-cv has it;
            "keypoints", `(batch, points, 2)` of (x, y), or with visibility as a third number.
        outside: What a map says of pixels that come from outside of the picture; `None` if there is
            nothing that it could say.
        remedy: What to do where `outside` is `None` and such pixels come.
        format: Of boxes, by keras-cv's name; `None` for the one that each layer was given.
    """

    of: str
    path: tuple[Any, ...]
    kind: str
    outside: Any = None
    remedy: str = ""
    format: str | None = None


class Batch(NamedTuple):
    """One batch of examples, or of their views.

    Attributes:
        x: What the networks see, `(batch, ...)`, any structure.
        y: Labels in the user's own format, `None`, or a structure of them. After mixing, each is
            the label of the larger share of its view.
        weight: Weights that belong to `y`, or `None`.
        spatial: Which parts of `y` and `weight` move with the pixels of `x`, while it is augmented;
            `None` where nobody has said.
        mix: After mixing, the second examples; else `None`.
        extras: Further tensors with an entry for each row, by the name of the part that owns them.
            Those that belong to an example follow it where an augmentation reorders the rows.
    """

    x: Any
    y: Any = None
    weight: Any = None
    spatial: tuple[Spatial, ...] | None = None
    mix: Mix | None = None
    extras: dict[str, Any] = {}  # noqa: RUF012, never changed in place

    def with_extras(self, **entries: Any) -> Batch:
        """Return this batch with more extras; an entry of `None` is left out."""
        kept = {name: value for name, value in entries.items() if value is not None}
        others = {name: value for name, value in self.extras.items() if name not in entries}
        return self._replace(extras={**others, **kept})


class Lesson(NamedTuple):
    """What a teacher that learns while it teaches has learnt of a batch, before it moves.

    Attributes:
        loss: Its loss on the labels, a float32 scalar.
        gradients: Of its weights that train, scaled where its optimizer scales the loss.
    """

    loss: Any
    gradients: list[Any]


class Answer(NamedTuple):
    """What one network says of one batch.

    Attributes:
        outputs: Its outputs as they are, any structure.
        taps: Intermediate outputs by name.
        logits: The outputs as logits, up to a constant for each example: the same where the network
            returns logits, log-probabilities where it ends in a softmax, log-odds after a sigmoid.
        input_gradient: Function of (output_gradients, tap) that returns the gradient of the sum of
            output_gradients * output at the inputs: float32, in their structure, 0 for inputs that
            the output does not depend on. Called inside another tape it can be differentiated.
            `None` where nobody asks.
        members: Where several teachers answer, what each says, by its name.
        rounds: Where several teach one after the other, what is said each time: a loss is the mean
            over them. Empty where one thing is said.
        lesson: Of a teacher that learns, what it has learnt of the batch, in training.
    """

    outputs: Any
    taps: dict[str, Any]
    logits: Any
    input_gradient: Callable[..., Any] | None = None
    members: dict[str, Answer] = {}  # noqa: RUF012, never changed in place
    rounds: tuple[Answer, ...] = ()
    lesson: Lesson | None = None

    def of(self, name: str | None) -> Answer:
        """Return what a member says; by the name `None` the whole."""
        return self if name is None else self.members[name]
