"""The step as a Keras model: how it is compiled, looped over, exported, saved and loaded."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from kd_keras.graph_errors import readable_errors
from kd_keras.memory_errors import batches_of, told
from kd_keras.teachers.contract import Teacher
from kd_keras.training import labels, multi_worker, persistence
from kd_keras.training.batch import Batch
from kd_keras.training.building import build_for
from kd_keras.training.emptiness import empty_message, refuse_empty
from kd_keras.training.loop import plain_graph
from kd_keras.training.metrics import warn_if_logits_meet_probability_metrics
from kd_keras.training.step import Step
from kd_keras.training.symbolic import build_config, symbolic_data


class TrainingModel(Step):
    """What `kd_keras.Distiller` and `kd_keras.Supervised` share with Keras.

    The step itself is in `Step`; a subclass says who the student is, and what teaches it.
    """

    def compile(
        self,
        optimizer: Any = "adam",
        loss: Any = None,
        metrics: Any = None,
        loss_weights: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: Any = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Configure training; the arguments are those of `keras.Model.compile`.

        Args:
            optimizer: Optimizer of the student. With a float16 layer in the student it is wrapped
                in a `LossScaleOptimizer` unless `auto_scale_loss=False`.
            loss: The student's loss on the labels, or a dict or list by output. May be `None` only
                where labels do not teach (`student_loss_weight=0` of a Distiller).
            metrics: Metrics of the student.
            loss_weights: Weights of the losses of several outputs.
            weighted_metrics: Metrics that `sample_weight` and `class_weight` act on.
            run_eagerly: Run the step in Python, for debugging.
            steps_per_execution: Steps in one call of the compiled function.
            jit_compile: Whether XLA compiles the core of the step: teacher, student forward and
                backward. The augmentation always stays outside. "auto" follows Keras's own rules.
            auto_scale_loss: See `optimizer`.
        """
        self.refuse_compilation(loss, metrics, weighted_metrics)
        labels.warn_if_logits_meet_probability_loss(loss, self.student)
        warn_if_logits_meet_probability_metrics([metrics, weighted_metrics], self.student)
        self.forget_compilation()
        self._label_format = None
        self._ready = False
        self._loop.forget()
        if self._parts.teacher is not None:
            self._parts.teacher.forget()
        super().compile(
            optimizer=persistence.scale_loss_if_float16(optimizer, self.student, auto_scale_loss),
            loss=loss,
            loss_weights=loss_weights,
            metrics=metrics,
            weighted_metrics=weighted_metrics,
            run_eagerly=run_eagerly,
            steps_per_execution=steps_per_execution,
            jit_compile=jit_compile,
            auto_scale_loss=auto_scale_loss,
        )

    def refuse_compilation(self, loss: Any, metrics: Any, weighted_metrics: Any) -> None:
        """Raise `ValueError` for arguments of `compile` that do not fit this training."""

    def build_from_batch(self, iterator: Any = None, data_batch: Any = None) -> None:
        if data_batch is not None:
            batch = Batch(*keras.utils.unpack_x_y_sample_weight(data_batch))
            batch, _ = self.accept(batch, None)
            build_for(self, batch.x, batch.y)
            self._offer_sample(batch.x)
        super().build_from_batch(iterator=iterator, data_batch=data_batch)

    def look_at_data(self, iterator: Any = None, data_batch: Any = None) -> None:
        strategy = self.distribute_strategy
        if iterator is None or not multi_worker.has_other_workers(strategy):
            super().look_at_data(iterator=iterator, data_batch=data_batch)
            return
        with strategy.scope():
            self.build_from_batch(data_batch=multi_worker.local_specs(iterator))

    def _offer_sample(self, x: Any) -> None:
        if self._parts.teacher is not None:
            self._parts.teacher.offer_sample(x)

    def step_as_function(self, step_function: Callable[..., Any]) -> Callable[..., Any]:
        make = functools.partial(plain_graph, self, super().step_as_function, step_function)
        name = "train_step" if step_function == self.train_step else "test_step"
        return self._loop.function(self, name, make, self._begin_pass, self._after_steps)

    def _begin_pass(self) -> Teacher | None:
        teacher = self._parts.teacher
        if teacher is not None:
            teacher.refresh(is_moving=self._loop.is_fitting and self._loop.epochs > 1)
        return teacher

    def _after_steps(self, name: str) -> None:
        """Called behind each call of a function of steps."""

    def reset_metrics(self) -> None:
        """Reset all metrics; Keras does before an epoch, an evaluation and a call on one batch."""
        super().reset_metrics()
        self._loop.begin_pass()

    @functools.wraps(keras.Model.fit)
    def fit(self, *args: Any, **kwargs: Any) -> Any:
        given = inspect.signature(keras.Model.fit).bind(self, *args, **kwargs)
        arguments = given.arguments
        refuse_empty("x", arguments.get("x"))
        refuse_empty("validation_data", arguments.get("validation_data"))
        self._class_weighted = arguments.get("class_weight") is not None
        self._check_class_weight(_labels_of(arguments.get("x"), arguments.get("y")))
        self._offer_sample(self.accept(Batch(arguments.get("x")), None)[0].x)
        if multi_worker.has_other_workers(self.distribute_strategy):
            multi_worker.prepare_fit(arguments, self.distribute_strategy)
        self._loop.begin_fit()
        asked = batches_of(arguments.get("x"), arguments.get("batch_size"))
        try:
            with multi_worker.lost_workers_explained(), readable_errors(), told(asked):
                history = super().fit(*given.args[1:], **given.kwargs)
        finally:
            self._class_weighted = self._loop.is_fitting = False
        if "train_step" not in self._loop.ran and self._loop.has_begun_epoch:
            raise ValueError(empty_message("x"))
        return history

    @functools.wraps(keras.Model.evaluate)
    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        given = inspect.signature(keras.Model.evaluate).bind(self, *args, **kwargs).arguments
        refuse_empty("x", given.get("x"))
        self._loop.ran.discard("test_step")
        asked = batches_of(given.get("x"), given.get("batch_size"))
        with multi_worker.lost_workers_explained(), told(asked):
            results = super().evaluate(*args, **kwargs)
        if "test_step" not in self._loop.ran:
            raise ValueError(empty_message("validation_data" if self._loop.is_fitting else "x"))
        return results

    @functools.wraps(keras.Model.export)
    def export(self, *args: Any, **kwargs: Any) -> Any:
        """Export the student: it is what leaves the training."""
        return self.student.export(*args, **kwargs)

    def set_weights(self, weights: Any) -> None:
        """Set all weights, as `EarlyStopping(restore_best_weights=True)` does.

        The count of steps never goes back: the optimizer's does not either, and views that were
        drawn would come again.
        """
        before = int(self.step)
        super().set_weights(weights)
        self.step.assign(max(before, int(self.step)))

    @functools.wraps(keras.Model.train_on_batch)
    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Any = None,
        **kwargs: Any,
    ) -> Any:
        self._class_weighted = class_weight is not None
        try:
            self._check_class_weight(y)
            return super().train_on_batch(x, y, sample_weight, class_weight, **kwargs)
        finally:
            self._class_weighted = False

    def get_build_config(self) -> dict[str, Any]:
        return build_config(self._specs)

    def build_from_config(self, config: dict[str, Any]) -> None:
        if config:
            build_for(self, *symbolic_data(config))

    def compile_from_config(self, config: dict[str, Any]) -> None:
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.optimizer is not None and self.built:
            self.optimizer.build(self.trainable_variables)

    def save_own_variables(self, store: Any) -> None:
        persistence.save_state(self, store)

    def load_own_variables(self, store: Any) -> None:
        persistence.load_state(self, store)


def _labels_of(x: Any, y: Any) -> Any:
    if isinstance(x, tf.data.Dataset):
        spec = x.element_spec
        return spec[1] if isinstance(spec, tuple) and len(spec) > 1 else []
    return [] if y is None else y
