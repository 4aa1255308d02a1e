"""`keras.Model` with the private steps of its training loop as methods that may be overridden.

Keras 3.12 to 3.15, keras/src/backend/tensorflow/trainer.py and keras/src/trainers/trainer.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import keras

if TYPE_CHECKING:

    class KerasModel:
        """What the type checker is to know of `keras.Model`, which has no types of its own."""

        name: str
        built: bool
        autocast: bool
        compiled: bool
        optimizer: Any
        loss: Any
        jit_compile: Any
        run_eagerly: bool
        steps_per_execution: int
        supports_jit: bool
        distribute_strategy: Any
        trainable_weights: list[Any]
        trainable_variables: list[Any]
        variables: list[Any]
        weights: list[Any]

        @property
        def metrics(self) -> list[Any]: ...
        def __init__(self, *args: Any, **kwargs: Any) -> None: ...
        def __call__(self, *args: Any, **kwargs: Any) -> Any: ...
        def add_weight(self, *args: Any, **kwargs: Any) -> Any: ...
        def compile(self, *args: Any, **kwargs: Any) -> None: ...
        def fit(self, *args: Any, **kwargs: Any) -> Any: ...
        def evaluate(self, *args: Any, **kwargs: Any) -> Any: ...
        def export(self, *args: Any, **kwargs: Any) -> Any: ...
        def reset_metrics(self) -> None: ...
        def get_config(self) -> dict[str, Any]: ...
        def set_weights(self, weights: Any) -> None: ...
        def train_on_batch(self, *args: Any, **kwargs: Any) -> Any: ...
        def get_metrics_result(self) -> dict[str, Any]: ...
        def compute_metrics(
            self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
        ) -> dict[str, Any]: ...
        def _make_function(self, step_function: Any) -> Any: ...
        def _symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None: ...
        def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None: ...
        def _get_metrics_result_or_logs(self, logs: Any) -> Any: ...
        def _aggregate_additional_loss(self, loss: Any) -> Any: ...
        def _autoconvert_optionals(self, function: Any) -> Any: ...

else:
    KerasModel = keras.Model


class OpenModel(KerasModel):
    """A Keras model whose subclass may say how a step becomes a function, and what is built.

    A subclass overrides the public methods below; Keras calls the private ones.
    """

    _compile_loss: Any
    _compile_metrics: Any
    _loss_tracker: Any
    _jit_compile: Any
    _tracker: Any

    def step_as_function(self, step_function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function of an iterator of batches that runs `step_function` and reduces logs.

        trainer.py, `_make_function`: one step or several in a graph, as Keras does it.
        """
        return super()._make_function(step_function)

    def _make_function(self, step_function: Callable[..., Any]) -> Callable[..., Any]:
        return self.step_as_function(step_function)

    def build_from_batch(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Build what is not built, symbolically, from a batch; at the start of `fit` and others."""
        super()._symbolic_build(iterator=iterator, data_batch=data_batch)

    def _symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        self.build_from_batch(iterator=iterator, data_batch=data_batch)

    def look_at_data(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Take a batch from the data for `build_from_batch`, where something is not built."""
        super()._maybe_symbolic_build(iterator=iterator, data_batch=data_batch)

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        self.look_at_data(iterator=iterator, data_batch=data_batch)

    def results_of_pass(self, logs: Any) -> Any:
        """Return what an epoch or an evaluation gives, from the logs of its last step.

        trainer.py returns those logs themselves where some metrics are not in them, and they are
        the plain mean of what the replicas have seen, however many examples each had. Here the
        names are those of the logs and the values those of the metrics.
        """
        results = self.get_metrics_result()
        if not isinstance(logs, dict) or not set(logs) <= set(results):
            return logs
        return {name: results[name] for name in logs}

    def _get_metrics_result_or_logs(self, logs: Any) -> Any:
        return self.results_of_pass(logs)

    def scaled_for_replicas(self, loss: Any) -> Any:
        """Return an additional loss such that its sum over the replicas is its value on one."""
        return self._aggregate_additional_loss(loss)

    def with_optionals(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return `function` such that parts of its batches may be `tf.experimental.Optional`."""
        return self._autoconvert_optionals(function)

    @property
    def compiled_loss(self) -> Any:
        """The loss that `compile` was given as Keras calls it: (y, y_pred, sample_weight)."""
        return getattr(self, "_compile_loss", None)

    @property
    def compiled_metrics_container(self) -> Any:
        """The metric that holds all compiled metrics, or `None`."""
        return getattr(self, "_compile_metrics", None)

    @property
    def loss_tracker(self) -> Any:
        """The metric that Keras logs as "loss"."""
        return self._loss_tracker

    def forget_compilation(self) -> None:
        """Drop the compiled loss and metrics: Keras keeps them when it compiles without any."""
        self._compile_loss = self._compile_metrics = None
        self.loss = None

    @contextmanager
    def without_jit(self) -> Iterator[None]:
        """Make functions of steps inside the block that XLA does not compile as a whole."""
        compiled = self.jit_compile
        self._jit_compile = False
        try:
            yield
        finally:
            self._jit_compile = compiled

    def keep(self, name: str, values: list[Any]) -> None:
        """Set an attribute to a list of layers or metrics, and let go of what was in it before.

        layer.py, `Layer.__setattr__` tracks what it is given, for ever.
        """
        for value in getattr(self, name, None) or []:
            self._tracker.untrack(value)
        setattr(self, name, values)

    def __setattr__(self, name: str, value: Any) -> None:
        before = vars(self).get(name)
        if isinstance(before, keras.Layer) and before is not value:
            # As for `keep`: the weights of the old one would be trained.
            self._tracker.untrack(before)
        super().__setattr__(name, value)


def flat_layers(model: Any, *, include_self: bool = True) -> list[Any]:
    """Return all layers in a layer or model, nested ones too.

    keras/src/layers/layer.py, `_flatten_layers`; `Model.layers` lists only the outer ones.
    """
    return list(model._flatten_layers(include_self=include_self, recursive=True))


def first_epoch(model: Any) -> int | None:
    """Return the epoch that `fit` is to begin with instead of its own, `None` for that.

    trainer.py, `fit` reads `_initial_epoch`, which `BackupAndRestore` sets.
    """
    return model._initial_epoch


def begin_with_epoch(model: Any, epoch: int | None) -> None:
    """Have `fit` begin with an epoch, as `BackupAndRestore` does; `None` for its own."""
    model._initial_epoch = epoch


def build_symbolically(model: Any, batch: Any) -> None:
    """Create every variable that training on batches like `batch` needs, of any Keras model.

    keras/src/trainers/trainer.py, `Trainer._symbolic_build`.
    """
    model._symbolic_build(data_batch=batch)


def takes_training(model: Any) -> bool:
    """Return whether the `call` of a layer names `training`."""
    return bool(model._call_has_training_arg)
