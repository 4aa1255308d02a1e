"""What a Distiller logs: Keras metrics of the parts of its loss, and the compiled metrics."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from kd_keras.step import labels
from kd_keras.step.objective import StepLosses


class StepLogs(keras.Model):
    """The part of the Distiller that keeps and returns metrics."""

    _warned_about_labels = False

    def _add_trackers(self, names: Sequence[str]) -> None:
        """Make the metrics of the step's parts; `names` are those of the distillation losses."""
        self.student_loss_tracker = keras.metrics.Mean(name="student_loss")
        self.distillation_loss_tracker = keras.metrics.Mean(name="distillation_loss")
        self.total_loss_tracker = keras.metrics.Mean(name="total_loss")
        self._term_trackers = [keras.metrics.Mean(name=name) for name in names if len(names) > 1]
        self.agreement_tracker = keras.metrics.Mean(name="agreement")

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, Any]:
        """Update the compiled metrics, if there are labels, and return all results."""
        if y is None:
            if self._compile_metrics is not None and not self._warned_about_labels:
                self._warned_about_labels = True
                warnings.warn(
                    "The data has no labels, so the compiled metrics are skipped.",
                    UserWarning,
                    stacklevel=2,
                )
            return {m.name: m.result() for m in self.metrics if m is not self._compile_metrics}
        y_pred = labels.labelled_outputs(y, y_pred, self.student)
        return super().compute_metrics(x, y, y_pred, sample_weight)

    def get_metrics_result(self) -> dict[str, Any]:
        """Return the results of all metrics that have seen data."""
        if self._compile_metrics is not None and not self._compile_metrics.built:
            return {m.name: m.result() for m in self.metrics if m is not self._compile_metrics}
        return super().get_metrics_result()

    def _get_metrics_result_or_logs(self, logs: Any) -> Any:
        """Return what a pass over the data gives, for the names in the logs of its last step.

        Keras returns those logs themselves where some metrics are not in them, and they are the
        plain mean of what the replicas have seen, however many examples each had.
        """
        results = self.get_metrics_result()
        if not isinstance(logs, dict) or not set(logs) <= set(results):
            return logs
        return {name: results[name] for name in logs}

    def _update_trackers(self, losses: StepLosses, x: Any) -> None:
        batch = tf.shape(keras.tree.flatten(x)[0])[0]
        for tracker, value in (
            (self._loss_tracker, losses.total),
            (self.total_loss_tracker, losses.total),
            (self.student_loss_tracker, losses.student),
            (self.distillation_loss_tracker, losses.distillation),
            *zip(self._term_trackers, losses.terms, strict=False),
        ):
            tracker.update_state(value, sample_weight=batch)
        self.agreement_tracker.update_state(losses.agreement, sample_weight=losses.positions)
