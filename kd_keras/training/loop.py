"""How a step becomes a function: what XLA compiles, what loops, how errors read."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from kd_keras.compat.model import OpenModel, flat_layers
from kd_keras.graph_errors import readable_errors
from kd_keras.teachers.contract import Teacher
from kd_keras.training import replicas
from kd_keras.training.multi_worker import has_other_workers, step_on_all_workers


class Loop:
    """What a model knows of the passes over its data, and the functions that make them.

    Keras compiles the whole step with XLA, augmentation included, which most keras-cv layers do not
    survive. Here the step is a plain graph and only its core is compiled.

    A plain object, so that Keras does not track what is in it.
    """

    def __init__(self) -> None:
        # The steps that ran since `fit` or `evaluate` was called: "train_step", "test_step".
        self.ran: set[str] = set()
        self.has_begun_epoch = False
        self.is_fitting = False
        self.epochs = 0  # begun since `fit` was called
        self._is_first_call = True
        self._jitted_core: Any = None

    def begin_fit(self) -> None:
        """Take note that `fit` was called."""
        self.ran.clear()
        self.has_begun_epoch = False
        self.is_fitting, self.epochs = True, 0

    def begin_pass(self) -> None:
        """Take note that metrics were reset: of an epoch, an evaluation, a call on one batch."""
        self.has_begun_epoch = self._is_first_call = True
        self.epochs += 1

    def forget(self) -> None:
        """Drop what was compiled."""
        self._jitted_core = None

    def core(self, model: OpenModel, core: Callable[..., Any], student: Any) -> Callable[..., Any]:
        """Return the core of the step, compiled by XLA where the model is to be.

        Args:
            model: The model that trains.
            core: The core as a plain function.
            student: The network that trains in it.
        """
        if not model.jit_compile or model.run_eagerly:
            return core
        synchronized = [la.name for la in flat_layers(student) if getattr(la, "synchronized", 0)]
        if replicas.count() > 1 and synchronized:
            # They reduce over the replicas in the middle of the core, which a nested function
            # cannot do.
            warnings.warn(
                "`jit_compile=True` has no effect under a distribution strategy with a student "
                "that has BatchNormalization(synchronized=True): these layers communicate inside "
                f"the core. Received: {synchronized}.",
                UserWarning,
                stacklevel=2,
            )
            return core
        if self._jitted_core is None:
            self._jitted_core = tf.function(
                core, jit_compile=True, autograph=False, reduce_retracing=True
            )
        return self._jitted_core

    def function(
        self,
        model: OpenModel,
        name: str,
        make: Callable[[], Callable[..., Any]],
        begin: Callable[[], Teacher | None],
        after: Callable[[str], None],
    ) -> Callable[..., Any]:
        """Return a function of an iterator of batches that runs steps.

        Args:
            model: The model that trains.
            name: Of the step.
            make: Makes the function itself, a plain graph, anew each time.
            begin: Called at the first step of a pass; returns the teacher, whose `version` tells
                whether the graph has become stale.
            after: Called with the name behind each call.
        """
        made: Any = None
        version: int | None = None

        def run(iterator: Any) -> Any:
            nonlocal made, version
            if self._is_first_call or made is None:
                self._is_first_call = False
                teacher = begin()
                current = 0 if teacher is None else teacher.version
                if made is None or version != current:
                    self.forget()
                    made, version = make(), current
            with readable_errors():
                if self._must_loop_in_python(model, iterator):
                    iterator = _in_python(iterator)
                results = made(iterator)
            self.ran.add(name)
            after(name)
            return results

        return run

    @staticmethod
    def _must_loop_in_python(model: OpenModel, iterator: Any) -> bool:
        return (
            model.steps_per_execution > 1
            and isinstance(iterator, tf.distribute.DistributedIterator)
            and not has_other_workers(model.distribute_strategy)
        )


def plain_graph(
    model: OpenModel, as_keras: Callable[..., Any], step_function: Callable[..., Any]
) -> Callable[..., Any]:
    """Return Keras's function of a step, without XLA around it, or that of several workers.

    Args:
        model: The model that trains.
        as_keras: Keras's own way to make the function.
        step_function: Its `train_step` or `test_step`.
    """
    if has_other_workers(model.distribute_strategy):
        return step_on_all_workers(model, step_function)
    with model.without_jit():
        return as_keras(step_function)


def _in_python(iterator: Any) -> Iterator[Any]:
    """Return a plain iterator of the batches, over which Keras loops in Python.

    Under a strategy with several replicas Keras's in-graph loop over several steps fails ("must
    feed placeholder", keras#19246); a loop over a one-step function does the same work. The first
    batch is taken here so that an exhausted iterator ends the epoch.
    """
    return itertools.chain([next(iterator)], iterator)
