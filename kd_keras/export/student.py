"""The student as the converter sees it: named inputs, named outputs, float32 arithmetic."""

from __future__ import annotations

import contextlib
import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from kd_keras.compat.model import flat_layers
from kd_keras.compat.structure import producer

# What the one input is called where the student's author gave it no name.
_ONE_INPUT = "images"
_NAMEABLE = re.compile(r"[A-Za-z0-9_.\\/>-]*")
_MADE_UP_INPUT = re.compile(r"(keras_tensor|input_layer)(_\d+)?")


def check_student(student: Any) -> None:
    """Raise unless `student` is a Keras model whose weights exist."""
    if not isinstance(student, keras.Model):
        raise TypeError(
            "`student` must be a `keras.Model` (of a `Distiller`, pass its `.student`). "
            f"Received: student={student!r} (of type {type(student).__name__})"
        )
    if not student.built:
        raise ValueError(
            "`student` has no weights yet. Call it on one batch, or `student.build(input_shape)`, "
            f"before exporting it. Received: student={student!r}"
        )
    refused = sorted({layer.name for layer in flat_layers(student) if _is_unnameable(layer)})
    if refused:
        raise ValueError(
            "`student` must have names that TensorFlow takes in a graph: ASCII letters, digits and "
            "_ . / -, without a _ in front. Build the same layers under other names, and copy the "
            f"weights: copy.set_weights(student.get_weights()). Received: {refused}"
        )


def _is_unnameable(layer: keras.Layer) -> bool:
    """Whether TensorFlow refuses a layer's name; inputs get one of their own in the file."""
    if isinstance(layer, keras.layers.InputLayer):
        return False
    # Inside another model a name is not the first in those of its variables.
    first = isinstance(layer, keras.Model) or any(
        variable.value.name.startswith(f"{layer.name}/") for variable in layer.weights
    )
    return not _NAMEABLE.fullmatch(layer.name) or (first and layer.name.startswith("_"))


@dataclass(frozen=True)
class StudentInputs:
    """What a student takes.

    Attributes:
        specs: Shape and dtype of each input by its name in the file, in order.
        arguments: Turns the tensors, in that order, into the positional and the keyword arguments
            of the student's call.
        own_batch: The batch size that the student's author fixed, or None.
    """

    specs: Mapping[str, tf.TensorSpec]
    arguments: Callable[[Sequence[Any]], tuple[tuple[Any, ...], dict[str, Any]]]
    own_batch: int | None = None

    def call(self, function: Callable[..., Any], tensors: Sequence[Any]) -> Any:
        """Call the student, or what takes the same as the student, in inference mode.

        Each tensor is cast to the dtype that the student takes.
        """
        cast = [
            tf.cast(tensor, spec.dtype)
            for tensor, spec in zip(tensors, self.specs.values(), strict=True)
        ]
        arguments, named = self.arguments(cast)
        if isinstance(function, keras.Layer):
            named = {**named, "training": False}
        return function(*arguments, **named)


def student_inputs(student: keras.Model, batch_size: int | None) -> StudentInputs:
    """Return what the student takes, `batch_size` examples at a time (None: any number).

    Floating inputs are float32 whatever the student's dtype policy. Names are those that the
    student's author gave; a single input without one is called "images".

    Raises:
        ValueError: If the student was built in a way that tells no shapes.
    """
    inputs = getattr(student, "inputs", None)
    if inputs:
        structure = inputs[0] if isinstance(student, keras.Sequential) else student.input
        if isinstance(structure, dict):
            # Keras's own list is sorted by the keys.
            names, inputs = list(structure), list(structure.values())
        else:
            names = [tensor.name for tensor in inputs]
        # An author who fixed the batch meant it, and layers may have taken it into their shapes.
        own = next((tensor.shape[0] for tensor in inputs if tensor.shape[0]), None)
        specs = [_spec(tensor.shape, tensor.dtype, own or batch_size) for tensor in inputs]
        return StudentInputs(_by_name(names, specs), lambda x: (_packed(structure, x), {}), own)
    # A subclassed model remembers the shapes it was built with, not the dtypes.
    config = student.get_build_config() or {}
    shapes = config.get("shapes_dict")
    if shapes and len(shapes) > 1:
        # call(self, image, mask): Keras remembers {"image_shape": ..., "mask_shape": ...}.
        keywords = [name.removesuffix("_shape") for name in shapes]
        leaves = list(shapes.values())
    else:
        keywords = []
        structure = next(iter(shapes.values())) if shapes else config.get("input_shape")
        leaves = _leaves(structure)
    if not leaves or not all(map(_is_one_shape, leaves)):
        raise ValueError(
            "`student` does not tell the shapes of its inputs. Call it once on a batch before "
            f"exporting it. Received: student={student!r} built with {config!r}"
        )
    if not keywords and len(_required(student)) > 1:
        raise ValueError(
            "`student` must take its inputs as one tensor, list or dict: of several arguments "
            "Keras remembers the shape of the first alone, unless `build` takes them all. "
            f"Received: a student whose call takes {_required(student)}"
        )
    specs = [_spec(shape, "float32", batch_size) for shape in leaves]
    if keywords:
        return StudentInputs(
            _by_name(keywords, specs), lambda x: ((), dict(zip(keywords, x, strict=True)))
        )
    names = list(structure) if isinstance(structure, dict) else ["input_layer"] * len(leaves)
    return StudentInputs(_by_name(names, specs), lambda x: (_packed(structure, x), {}))


def _required(student: keras.Model) -> list[str]:
    """Return the names of the tensors that a student's call cannot do without."""
    return [
        name
        for name, parameter in inspect.signature(student.call).parameters.items()
        if parameter.default is parameter.empty
        and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        and name not in ("training", "mask")
    ]


def _packed(structure: Any, tensors: Sequence[Any]) -> tuple[Any, ...]:
    """Return the tensors as the one argument of the student's call: a tensor, a dict or a list."""
    if isinstance(structure, dict):
        return (dict(zip(structure, tensors, strict=True)),)
    if isinstance(structure, (list, tuple)) and not _is_one_shape(structure):
        return (list(tensors),)
    return (tensors[0],)


def _leaves(structure: Any) -> list[Any]:
    if _is_one_shape(structure):
        return [structure]
    if isinstance(structure, dict):
        return list(structure.values())
    return list(structure or ())


def _spec(shape: Any, dtype: Any, batch_size: int | None) -> tf.TensorSpec:
    dtype = tf.as_dtype(dtype)
    if dtype == tf.string:
        raise ValueError(
            "`student` must take numbers: the look-up of strings needs operators that TensorFlow "
            "Lite does not build in. Leave the StringLookup or TextVectorization to the app, and "
            "export the model behind it, which takes its ids. "
            f"Received: a student with a string input of shape {tuple(shape)}"
        )
    return tf.TensorSpec((batch_size, *shape[1:]), tf.float32 if dtype.is_floating else dtype)


def _by_name(names: Sequence[str], specs: Sequence[tf.TensorSpec]) -> dict[str, tf.TensorSpec]:
    if len(names) == 1:
        names = [_ONE_INPUT if _MADE_UP_INPUT.fullmatch(names[0]) else names[0]]
    elif len(set(names)) < len(names) or any(map(_MADE_UP_INPUT.fullmatch, names)):
        names = [f"input_{index}" for index in range(len(names))]
    # TensorFlow allows no other characters in the name of a placeholder, and no "_" at its start.
    allowed = [re.sub(r"[^A-Za-z0-9_.]", "_", name).lstrip("_") for name in names]
    if "" in allowed or len(set(allowed)) < len(allowed):
        allowed = [f"input_{index}" for index in range(len(names))] if names[1:] else [_ONE_INPUT]
    names = allowed
    return {
        name: tf.TensorSpec(spec.shape, spec.dtype, name=name)
        for name, spec in zip(names, specs, strict=True)
    }


def _is_one_shape(shape: Any) -> bool:
    return (
        isinstance(shape, (tuple, list))
        and len(shape) > 1
        and all(size is None or isinstance(size, int) for size in shape)
    )


def named_outputs(outputs: Any, made_by: Any = None) -> dict[str, Any]:
    """Return outputs by the names that they have in the file.

    A dict of tensors keeps its keys; the outputs of a functional or sequential model are called
    after the layers that their author named; anything else is `output_0`, `output_1`, ... in order.

    Args:
        outputs: A tensor, or a structure of them.
        made_by: The model that made them, if any.
    """
    if isinstance(outputs, dict) and all(isinstance(name, str) for name in outputs):
        values = outputs.values()
        if not any(isinstance(value, (dict, list, tuple)) for value in values):
            return dict(outputs)
    flat = keras.tree.flatten(outputs)
    tensors = getattr(made_by, "outputs", None) or []
    makers = [producer(tensor) for tensor in tensors]
    names = [maker.name for maker in makers if not _is_made_up(maker)]
    if len(names) != len(flat) or len(set(names)) < len(names):
        names = [f"output_{index}" for index in range(len(flat))]
    return dict(zip(names, flat, strict=True))


def _is_made_up(operation: Any) -> bool:
    """Whether Keras invented the name of an operation: its class in snake case, and a number."""
    words = re.sub(r"(?<=.)([A-Z][a-z]+)|(?<=[a-z])([A-Z])", r"_\g<0>", type(operation).__name__)
    return re.fullmatch(re.escape(words.lower()) + r"(_\d+)?", operation.name) is not None


@contextlib.contextmanager
def computing_in_float32(student: keras.Model) -> Iterator[None]:
    """Let a student under a mixed policy calculate in float32, until the block ends.

    TFLite has no kernels for most float16 and bfloat16 arithmetic. The policies and not the weights
    are exchanged, so the caller's model is the same afterwards.

    Raises:
        ValueError: If the weights themselves are not float32.
    """
    other = [layer for layer in flat_layers(student) if _weights_not_float32(layer)]
    if other:
        raise ValueError(
            "`student` must have float32 weights to be converted. A mixed policy has them "
            f"(keras.config.set_dtype_policy('mixed_{other[0].variable_dtype}')). Of this student, "
            "build a copy under the policy 'float32' and copy.set_weights(student.get_weights()). "
            f"Received: layer {other[0].name!r} with weights of dtype {other[0].variable_dtype}"
        )
    reduced = [
        layer
        for layer in flat_layers(student)
        if layer.compute_dtype != "float32" and layer.quantization_mode is None
    ]
    policies = [layer.dtype_policy for layer in reduced]
    try:
        for layer in reduced:
            layer.dtype_policy = "float32"
        yield
    finally:
        for layer, policy in zip(reduced, policies, strict=True):
            layer.dtype_policy = policy


@contextlib.contextmanager
def unrolled(student: keras.Model) -> Iterator[None]:
    """Let recurrent layers write out their steps instead of looping, until the block ends.

    TensorFlow Lite's calibrator ends the Python process on most of their loops. The layers and
    their weights are the same afterwards.

    Raises:
        ValueError: If a recurrent layer takes sequences of open length.
    """
    looping = [
        layer
        for layer in flat_layers(student)
        if isinstance(layer, keras.layers.RNN) and not layer.unroll
    ]
    for layer in looping:
        shapes = layer.get_build_config() or {}
        shape = shapes.get("input_shape") or shapes.get("sequences_shape")
        if shape is None or len(shape) < 2 or shape[1] is None:
            raise ValueError(
                "`student` must have sequences of one length for integer activations: TensorFlow "
                "Lite's calibrator ends the process on the loop of a recurrent layer, and only "
                "steps of a known number can be written out. Build it with "
                "keras.Input((length, ...)), pad the sequences, and copy the weights. "
                f"Received: layer {layer.name!r} built with input_shape={shape}"
            )
    try:
        for layer in looping:
            layer.unroll = True
        yield
    finally:
        for layer in looping:
            layer.unroll = False


def _weights_not_float32(layer: keras.Layer) -> bool:
    return bool(layer.weights) and layer.variable_dtype in ("float16", "bfloat16", "float64")
