"""The student as the converter sees it: one input, named outputs, float32 arithmetic."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

INPUT_NAME = "images"


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


def input_spec(student: keras.Model, batch_size: int | None) -> tf.TensorSpec:
    """Return the shape and dtype of the student's one input, `batch_size` examples at a time.

    Floating inputs are float32 whatever the student's dtype policy.
    """
    inputs = getattr(student, "inputs", None)
    if inputs:
        specs = [(tuple(tensor.shape), tensor.dtype) for tensor in inputs]
    else:
        # A subclassed model remembers the shapes it was built with, not the dtypes.
        config = student.get_build_config() or {}
        shapes = config.get("shapes_dict") or {"input": config.get("input_shape")}
        specs = [(shape, "float32") for shape in shapes.values()]
    if len(specs) != 1 or not _is_one_shape(specs[0][0]):
        raise ValueError(
            "`student` must take one tensor, because the file takes one. "
            f"Received: a student with inputs {specs!r}. Wrap it in a model of one input."
        )
    shape, dtype = specs[0]
    dtype = tf.as_dtype(dtype)
    if dtype.is_floating:
        dtype = tf.float32
    return tf.TensorSpec((batch_size, *shape[1:]), dtype, name=INPUT_NAME)


def _is_one_shape(shape: Any) -> bool:
    return (
        isinstance(shape, (tuple, list))
        and len(shape) > 1
        and all(size is None or isinstance(size, int) for size in shape)
    )


def named_outputs(outputs: Any) -> dict[str, Any]:
    """Return the student's outputs by the names that they have in the file.

    A dict of tensors keeps its keys; anything else is `output_0`, `output_1`, ... in order.
    """
    if isinstance(outputs, dict) and all(isinstance(name, str) for name in outputs):
        values = outputs.values()
        if not any(isinstance(value, (dict, list, tuple)) for value in values):
            return dict(outputs)
    return {f"output_{index}": value for index, value in enumerate(keras.tree.flatten(outputs))}


def inference(student: keras.Model) -> Callable[[Any], dict[str, Any]]:
    """Return the student's inference as a function of the images, outputs by name."""
    return lambda images: named_outputs(student(images, training=False))


@contextlib.contextmanager
def computing_in_float32(student: keras.Model) -> Iterator[None]:
    """Let a student under a mixed policy calculate in float32, until the block ends.

    TFLite has no kernels for most float16 and bfloat16 arithmetic. The policies and not the weights
    are exchanged, so the caller's model is the same afterwards.

    Raises:
        ValueError: If the weights themselves are not float32.
    """
    other = [layer for layer in student._flatten_layers() if _weights_not_float32(layer)]
    if other:
        raise ValueError(
            "`student` must have float32 weights to be converted. A mixed policy has them "
            f"(keras.config.set_dtype_policy('mixed_{other[0].variable_dtype}')). Of this student, "
            "build a copy under the policy 'float32' and copy.set_weights(student.get_weights()). "
            f"Received: layer {other[0].name!r} with weights of dtype {other[0].variable_dtype}"
        )
    reduced = [
        layer
        for layer in student._flatten_layers()
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


def _weights_not_float32(layer: keras.Layer) -> bool:
    return bool(layer.weights) and layer.variable_dtype in ("float16", "bfloat16", "float64")
