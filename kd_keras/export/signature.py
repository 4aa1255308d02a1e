"""One entry point of a file: which function of the inputs it calculates, under which names."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from kd_keras.export.student import StudentInputs, named_outputs, student_inputs

# TensorFlow's name of the signature that runs where none is named.
MAIN = "serving_default"

# What turns logits into probabilities at the end of a file.
ENDINGS: Mapping[str, Callable[[Any], Any]] = {"softmax": tf.nn.softmax, "sigmoid": tf.sigmoid}


# Told apart by identity: TensorFlow keeps functions in sets, and the inputs hold a dict.
@dataclass(frozen=True, eq=False)
class Signature:
    """A function of the student's inputs that the file offers under a name.

    Attributes:
        name: Its name in the file.
        function: The student, or what takes the same arguments.
        inputs: What it takes.
        probabilities: The output that leaves as probabilities, by its name in the student; None
            where all outputs leave as they are.
        ending: What is put behind that output; None where the student itself ends in it.
        input_dtype: What the tensors are before they are cast for the student; None for no cast.
    """

    name: str
    function: Callable[..., Any]
    inputs: StudentInputs
    probabilities: str | None = None
    ending: str | None = None
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
        """Itself as a TensorFlow function of batches of any size, traced when first asked for.

        Of a student that fixes its batch, of that size.
        """
        batch = self.inputs.own_batch
        specs = [tf.TensorSpec((batch, *spec.shape[1:]), spec.dtype) for spec in self.specs]
        return tf.function(self).get_concrete_function(*specs)

    def __call__(self, *tensors: Any) -> dict[str, Any]:
        """Return the outputs by their names in the file."""
        outputs = named_outputs(self.inputs.call(self.function, tensors), self.function)
        if self.ending is not None and self.probabilities is not None:
            outputs[self.probabilities] = ENDINGS[self.ending](outputs[self.probabilities])
        return {self.renamed(name): value for name, value in outputs.items()}

    def renamed(self, name: str) -> str:
        """Return what an output of the student is called in the file."""
        return name.replace("logits", "probabilities") if name == self.probabilities else name


def as_logits(name: str) -> str:
    """Return what an output of this name in a file is called in a student that gives logits."""
    return name.replace("probabilities", "logits")


def all_signatures(
    student: keras.Model,
    inputs: StudentInputs,
    further: Mapping[str, Callable[..., Any]] | None,
    input_dtype: str | None,
) -> tuple[Signature, ...]:
    """Return the student's signature and the further ones.

    Raises:
        TypeError: If a further one is no function.
        ValueError: If a further one has the name of the student's.
    """
    made = [Signature(MAIN, student, inputs, input_dtype=input_dtype)]
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
            taken = dataclasses.replace(inputs, arguments=student_inputs(function, None).arguments)
        made.append(Signature(name, function, taken, input_dtype=input_dtype))
    return tuple(made)


def tracked(signatures: Sequence[Signature]) -> list[Any]:
    """Return the models and layers whose weights the file needs."""
    return [each.function for each in signatures if isinstance(each.function, keras.Layer)]
