"""How a step becomes a function: what XLA compiles, what loops, how errors read."""

from __future__ import annotations

import functools
import inspect
import itertools
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

from kd_keras.graph_errors import readable_errors
from kd_keras.losses.base import probabilities_message
from kd_keras.losses.output_kind import output_kind
from kd_keras.losses.probe import probed_output_kind
from kd_keras.step import labels, replaying, replicas, sample_index
from kd_keras.step.multi_worker import MultiWorkerSteps, has_other_workers

_EMPTY = (
    "`{argument}` is empty: a dataset with at least one batch was expected. Received: {argument} "
    "with 0 examples. Check the split, the filters and `drop_remainder`, which drops everything "
    "when there are fewer examples than one batch."
)


class SymbolicCall(keras.Operation):
    """Run a function on symbolic tensors, which builds the layers that it calls."""

    def __init__(self, function: Callable[..., Any]):
        super().__init__()
        self._function = function

    def call(self, *args: Any) -> Any:
        return self._function(*args)


class Specs:
    """Symbolic inputs, labels and outputs of the student, as of the first batch.

    A plain object: Keras wraps the dicts and lists that are attributes of a model, and a wrapped
    dict no longer passes for the structure of the student's outputs.
    """

    def __init__(self, inputs: Any, targets: Any, outputs: Any):
        self.inputs = inputs
        self.targets = targets
        self.outputs = outputs


def symbolic(inputs: Any) -> Any:
    """Return `KerasTensor`s like `inputs`, with any batch size."""
    return keras.tree.map_structure(
        lambda t: keras.KerasTensor(
            (None, *tuple(t.shape)[1:]), dtype=keras.backend.standardize_dtype(t.dtype)
        ),
        inputs,
    )


class StepFunctions(MultiWorkerSteps):
    """The part of the Distiller that turns `train_step` into functions of an iterator.

    Keras compiles the whole step with XLA, augmentation included, which most keras-cv layers do not
    survive. Here the step is a plain graph and only its core is compiled.
    """

    _jitted_core: Any = None
    _teacher_inference: Any
    _has_seen_data = False
    _has_begun_epoch = False
    # Calls of a step function since Keras reset the metrics, and since `fit` began, if it runs.
    _calls = 0
    _calls_in_fit: int | None = None
    _class_weighted = False
    _ready = False

    def _core_function(self) -> Callable[..., Any]:
        if not self.jit_compile or self.run_eagerly:
            return self._core
        if replicas.count() > 1 and _synchronized_layers(self.student):
            # They reduce over the replicas in the middle of the core, which a nested function
            # cannot do.
            warnings.warn(
                "`jit_compile=True` has no effect under a distribution strategy with a student "
                "that has BatchNormalization(synchronized=True): these layers communicate inside "
                f"the core. Received: {_synchronized_layers(self.student)}.",
                UserWarning,
                stacklevel=2,
            )
            return self._core
        if self._jitted_core is None:
            self._jitted_core = tf.function(
                self._core, jit_compile=True, autograph=False, reduce_retracing=True
            )
        return self._jitted_core

    def _make_function(self, step_function: Callable[..., Any]) -> Callable[..., Any]:
        function: Any = None
        version: int | None = None

        def readable(iterator: Any) -> Any:
            nonlocal function, version
            self._check_teacher()
            if version != self._teacher_inference.version:
                function = self._plain_graph(step_function)
                version = self._teacher_inference.version
            with readable_errors():
                if self._must_loop_in_python(iterator):
                    iterator = _in_python(iterator)
                results = function(iterator)
            self._has_seen_data = True
            return results

        return readable

    def _must_loop_in_python(self, iterator: Any) -> bool:
        return (
            self.steps_per_execution > 1
            and isinstance(iterator, tf.distribute.DistributedIterator)
            and not has_other_workers(self.distribute_strategy)
        )

    def _plain_graph(self, step_function: Callable[..., Any]) -> Callable[..., Any]:
        self._jitted_core = None
        compiled = self.jit_compile
        self._jit_compile = False
        try:
            return super()._make_function(step_function)
        finally:
            self._jit_compile = compiled

    def _check_teacher(self) -> None:
        """Look whether the teacher is what it was, at the first, second, fourth, ... call.

        Counted from the start of an epoch, of an evaluation, of a call on one batch. A callback
        that moves the teacher in every step or every epoch is found in time.
        """
        self._calls += 1
        if self._calls & (self._calls - 1) == 0:
            self._teacher_inference.refresh(is_moving=bool(self._calls_in_fit))
        if self._calls_in_fit is not None:
            self._calls_in_fit += 1

    def reset_metrics(self) -> None:
        """Reset all metrics; Keras does before an epoch, an evaluation and a call on one batch."""
        super().reset_metrics()
        self._has_begun_epoch = True
        self._calls = 0

    def _symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        if data_batch is not None:
            x, y, _ = keras.utils.unpack_x_y_sample_weight(data_batch)
            x = replaying.split(x, self.teacher)[0]
            x, _ = sample_index.split(x, self._terms, self.student)
            self._build_for(x, y)
            self._teacher_inference.offer_sample(x)
        super()._symbolic_build(iterator=iterator, data_batch=data_batch)

    def _build_for(self, x: Any, y: Any = None) -> None:
        """Create every variable of the step before anything is traced inside the core."""
        if self._ready:
            return
        x_spec, y_spec = symbolic(x), None if y is None else symbolic(y)
        with tf.init_scope():
            for model in (self.teacher, self.student):
                if not model.built:
                    SymbolicCall(functools.partial(model, training=False)).compute_output_spec(
                        x_spec
                    )
            if any(not layer.built for layer in self._loss_layers):
                SymbolicCall(self._evaluate_terms).compute_output_spec(x_spec, y_spec)
            output_spec = SymbolicCall(
                functools.partial(self.student, training=False)
            ).compute_output_spec(x_spec)
            if self.compiled:
                if self.optimizer is not None and not self.optimizer.built:
                    self.optimizer.build(self.trainable_variables)
                loss = self._compile_loss
                if loss is not None and y is not None and not loss.built:
                    outputs = labels.labelled_outputs(y_spec, output_spec, self.student)
                    SymbolicCall(loss).compute_output_spec(y_spec, outputs)
            if replicas.count() == 1:
                self._probe_outputs(x_spec)
        self._specs = Specs(x_spec, y_spec, output_spec)
        self.built = True
        self._ready = self.compiled

    def _probe_outputs(self, x: Any) -> None:
        """Repeat the checks of the constructor and of `compile` for models without a graph."""
        for role, model in (("teacher", self.teacher), ("student", self.student)):
            taps = f"{role}_tap"
            matched = [
                term.loss
                for term in self._terms
                if getattr(term.loss, "expects_logits", False) and getattr(term, taps) is None
            ]
            is_compiled = role == "student" and self._compile_loss is not None
            if output_kind(model) is not None or not (matched or is_compiled):
                continue
            if replaying.is_replayed(model):
                continue
            kind = probed_output_kind(model, x)
            if matched and kind == "probabilities":
                raise ValueError(probabilities_message(type(matched[0]).__name__, role, model))
            if is_compiled:
                labels.warn_if_logits_meet_probability_loss(self.loss, model, kind)

    def _evaluate_terms(self, x: Any, y: Any) -> Any:
        teacher = self._run(self._tapped_teacher, x, training=False)
        student = self._run(self._tapped_student, x, training=False)
        inputs = {"x": x, "y": y, "sample_weight": None, "training": False, "sample_index": None}
        for term in self._terms:
            term.build(teacher, student)
        step = tf.zeros((), tf.int64)
        return [term.value(teacher, student, inputs, step) for term in self._terms]

    @functools.wraps(keras.Model.fit)
    def fit(self, *args: Any, **kwargs: Any) -> Any:
        given = inspect.signature(keras.Model.fit).bind(self, *args, **kwargs).arguments
        _refuse_empty("x", given.get("x"))
        _refuse_empty("validation_data", given.get("validation_data"))
        self._class_weighted = given.get("class_weight") is not None
        self._check_class_weight(_labels_of(given.get("x"), given.get("y")))
        self._teacher_inference.offer_sample(
            sample_index.split(given.get("x"), self._terms, self.student)[0]
        )
        self._has_seen_data = self._has_begun_epoch = False
        self._calls_in_fit = 0
        try:
            history = super().fit(*args, **kwargs)
        finally:
            self._class_weighted = False
            self._calls_in_fit = None
        if not self._has_seen_data and self._has_begun_epoch:
            raise ValueError(_EMPTY.format(argument="x"))
        return history

    def _check_class_weight(self, y: Any) -> None:
        """Refuse `class_weight` on dense labels; what a generator yields only the step sees."""
        if self._class_weighted and y is not None:
            labels.refuse_class_weight_on_dense_labels(y, _outputs_rank(self.student))

    @functools.wraps(keras.Model.evaluate)
    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        given = inspect.signature(keras.Model.evaluate).bind(self, *args, **kwargs).arguments
        _refuse_empty("x", given.get("x"))
        self._has_seen_data = False
        results = super().evaluate(*args, **kwargs)
        if not self._has_seen_data:
            raise ValueError(_EMPTY.format(argument="x"))
        return results


def _synchronized_layers(model: Any) -> list[str]:
    return [
        layer.name for layer in model._flatten_layers() if getattr(layer, "synchronized", False)
    ]


def _in_python(iterator: Any) -> Iterator[Any]:
    """Return a plain iterator of the batches, over which Keras loops in Python.

    Under a strategy with several replicas Keras's in-graph loop over several steps fails ("must
    feed placeholder", keras#19246); a loop over a one-step function does the same work. The first
    batch is taken here so that an exhausted iterator ends the epoch.
    """
    return itertools.chain([next(iterator)], iterator)


def _refuse_empty(argument: str, data: Any) -> None:
    if isinstance(data, tf.data.Dataset):
        empty = bool(data.cardinality() == 0)
    elif isinstance(data, (list, tuple)) and data and isinstance(data[0], tf.data.Dataset):
        return
    else:
        arrays = keras.tree.flatten(data)
        empty = any(
            len(getattr(array, "shape", ())) > 0 and array.shape[0] == 0 for array in arrays
        )
    if empty:
        raise ValueError(_EMPTY.format(argument=argument))


def _labels_of(x: Any, y: Any) -> Any:
    if isinstance(x, tf.data.Dataset):
        spec = x.element_spec
        return spec[1] if isinstance(spec, tuple) and len(spec) > 1 else []
    return [] if y is None else y


def _outputs_rank(student: Any) -> int | None:
    built = student.built and getattr(student, "outputs", None)
    return max(len(tensor.shape) for tensor in student.outputs) if built else None
