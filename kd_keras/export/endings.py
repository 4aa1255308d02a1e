"""What each output of a student holds, and which of them the classes are on."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from kd_keras.export.examples import Examples
from kd_keras.export.metadata import OutputKind
from kd_keras.export.signature import ENDINGS, Signature
from kd_keras.export.student import named_outputs
from kd_keras.losses.contract.output_kind import kind_of_values, kinds_in_graph

# Of an output whose graph does not tell.
_UNKNOWN = "unknown"


@dataclasses.dataclass(frozen=True)
class Ending:
    """How the class output of a student leaves the file.

    Attributes:
        signature: The student's own, with a softmax or sigmoid at its end where one was asked for
            and the student has none.
        expected: The outputs that the file must give, by their names in it: those of the user's own
            model, turned into probabilities by NumPy where the file turns them.
        classes: The output with the classes, by its name in the file; None where there is none, or
            several and nothing says which.
        kind: Whether that output holds logits or probabilities.
    """

    signature: Signature
    expected: Examples
    classes: str | None
    kind: OutputKind


def ending(
    raw: Signature,
    outputs: Examples,
    *,
    probabilities: bool,
    classes_output: str | None,
    labels: Sequence[str] | None,
) -> Ending:
    """Return how the student's outputs leave the file.

    Args:
        raw: The student's own signature, without anything behind it.
        outputs: What the user's model gives on the verification data, by name.
        probabilities: Whether the class output is to leave as probabilities.
        classes_output: Its name; None where it is plain which one it is.
        labels: The names of the classes, if any.

    Raises:
        ValueError: If no output has that name, or it is not plain which output is meant.
    """
    kinds = _kinds(raw.function, outputs)
    classes = _class_output(
        outputs,
        kinds,
        classes_output,
        None if labels is None else len(labels),
        needed=probabilities or labels is not None,
    )
    if classes is None:
        return Ending(raw, outputs, None, "logits")
    already = kinds[classes] in ENDINGS
    if not probabilities:
        return Ending(raw, outputs, classes, "probabilities" if already else "logits")
    added = None if already else ("sigmoid" if outputs[classes].shape[-1] == 1 else "softmax")
    if outputs[classes].ndim < 2:
        added = None
    signature = dataclasses.replace(raw, probabilities=classes, ending=added)
    name = signature.renamed(classes)
    values = outputs[classes] if added is None else _ENDS[added](outputs[classes])
    return Ending(
        signature,
        {signature.renamed(each): value for each, value in outputs.items()} | {name: values},
        name,
        "probabilities",
    )


def graph_kinds(model: Any) -> dict[str, str]:
    """Return "softmax", "sigmoid", "logits" or "unknown" for each output, by its name in a file.

    Empty where the model has no graph.
    """
    kinds = kinds_in_graph(model)
    if kinds is None:
        return {}
    words = [kind or _UNKNOWN for kind in kinds]
    # A `Sequential` has no `output` until it is called.
    one = isinstance(model, keras.Sequential)
    return named_outputs(
        words[0] if one else keras.tree.pack_sequence_as(model.output, words), model
    )


def ends_in_probabilities(kind: str, values: np.ndarray) -> bool:
    """Whether an output ends in a softmax or sigmoid: its graph's word, else its values'."""
    return (kind_of_values(values) if kind == _UNKNOWN else kind) in ENDINGS


def _kinds(student: Any, outputs: Examples) -> dict[str, str]:
    known = graph_kinds(student)
    found = {name: known.get(name, _UNKNOWN) for name in outputs}
    return {
        name: (kind_of_values(outputs[name]) or _UNKNOWN) if kind == _UNKNOWN else kind
        for name, kind in found.items()
    }


def _class_output(
    outputs: Examples,
    kinds: Mapping[str, str],
    named: str | None,
    labels: int | None,
    needed: bool,
) -> str | None:
    shapes = {name: (None, *value.shape[1:]) for name, value in outputs.items()}
    if named is not None:
        if named not in outputs:
            raise ValueError(
                f"`classes_output` must name one of the student's outputs: {', '.join(outputs)}. "
                f"Received: classes_output={named!r}"
            )
        return named
    if len(outputs) == 1:
        return next(iter(outputs))
    flat = [name for name, shape in shapes.items() if len(shape) == 2]
    softmaxes = [name for name in flat if kinds[name] == "softmax"]
    if labels is not None:
        candidates = [name for name in flat if shapes[name][-1] == labels]
    else:
        candidates = softmaxes if len(softmaxes) == 1 else flat
    if len(candidates) == 1:
        return candidates[0]
    if needed:
        asked = "`probabilities=True`" if labels is None else f"`labels` of {labels} classes"
        raise ValueError(
            f"{asked} must know which output the classes are on. Say so with classes_output= "
            f"(--classes-output), such as classes_output={(candidates or list(outputs))[0]!r}. "
            f"Received: a student with the outputs {shapes}"
        )
    return None


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits.astype("float64") - logits.max(axis=-1, keepdims=True))
    return (powers / powers.sum(axis=-1, keepdims=True)).astype("float32")


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    # tanh does not overflow where exp would.
    return (0.5 * (1.0 + np.tanh(0.5 * logits.astype("float64")))).astype("float32")


_ENDS = {"softmax": _softmax, "sigmoid": _sigmoid}
