"""One entry point of a file: which function of the inputs it calculates, under which names."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from kd_keras.export.student import StudentInputs, named_outputs, student_inputs

# TensorFlow's name of the signature that runs where none is named.
MAIN = "serving_default"


# Told apart by identity: TensorFlow keeps functions in sets, and the inputs hold a dict.
@dataclass(frozen=True, eq=False)
class Signature:
    """A function of the student's inputs that the file offers under a name.

    Attributes:
        name: Its name in the file.
        function: The student, or what takes the same arguments.
        inputs: What it takes.
        probabilities: Whether class outputs leave as probabilities and not as logits.
        input_dtype: What the tensors are before they are cast for the student; None for no cast.
    """

    name: str
    function: Callable[..., Any]
    inputs: StudentInputs
    probabilities: bool = False
    input_dtype: str | None = None

    @property
    def specs(self) -> list[tf.TensorSpec]:
        """The tensors that it takes, in order."""
        return [
            tf.TensorSpec(spec.shape, self.input_dtype or spec.dtype, name=name)
            for name, spec in self.inputs.specs.items()
        ]

    @functools.cached_property
    def traced(self) -> Any:
        """Itself as a TensorFlow function of batches of any size, traced when first asked for."""
        specs = [tf.TensorSpec((None, *spec.shape[1:]), spec.dtype) for spec in self.specs]
        return tf.function(self).get_concrete_function(*specs)

    def __call__(self, *tensors: Any) -> dict[str, Any]:
        """Return the outputs by their names in the file."""
        outputs = named_outputs(self.inputs.call(self.function, tensors), self.function)
        if not self.probabilities:
            return outputs
        return {
            name.replace("logits", "probabilities"): _probabilities(value)
            for name, value in outputs.items()
        }


def all_signatures(
    student: keras.Model,
    inputs: StudentInputs,
    further: Mapping[str, Callable[..., Any]] | None,
    probabilities: bool,
    input_dtype: str | None,
) -> tuple[Signature, ...]:
    """Return the student's signature and the further ones.

    Raises:
        TypeError: If a further one is no function.
        ValueError: If a further one has the name of the student's.
    """
    made = [Signature(MAIN, student, inputs, probabilities, input_dtype)]
    for name, function in (further or {}).items():
        if not callable(function):
            raise TypeError(
                "`signatures` must map names to models or functions of the student's inputs. "
                f"Received: signatures[{name!r}]={function!r}"
            )
        if name == MAIN:
            raise ValueError(
                f"`signatures` must not name {MAIN!r}, which is the student itself. "
                f"Received: signatures={sorted(further or {})}"
            )
        taken = inputs
        if isinstance(function, keras.Model):
            # Of the student's tensors it may want a list where the student wants a dict.
            taken = StudentInputs(inputs.specs, student_inputs(function, None).arguments)
        made.append(Signature(name, function, taken, False, input_dtype))
    return tuple(made)


def tracked(signatures: Sequence[Signature]) -> list[Any]:
    """Return the models and layers whose weights the file needs."""
    return [each.function for each in signatures if isinstance(each.function, keras.Layer)]


def _probabilities(logits: Any) -> Any:
    if logits.shape.rank is None or logits.shape.rank < 2:
        return logits
    return tf.sigmoid(logits) if logits.shape[-1] == 1 else tf.nn.softmax(logits, axis=-1)
