"""Create every variable of a step before anything is traced inside its core."""

from __future__ import annotations

import functools
from typing import Any

import keras
import tensorflow as tf

from kd_keras.teachers.contract import needs_raw_logits, raw_logits_message
from kd_keras.training import labels, replicas
from kd_keras.training.batch import Batch
from kd_keras.training.symbolic import Specs, SymbolicCall, symbolic
from kd_keras.training.taps import forward


def build_for(model: Any, x: Any, y: Any = None) -> Specs:
    """Build the networks, the losses' layers, the optimizer and the compiled loss of a training.

    Args:
        model: A `kd_keras.training.model.TrainingModel`.
        x: Inputs of the first batch, symbolic or not, after `accept`.
        y: Its labels, or `None`.

    Returns:
        Symbolic inputs, labels and outputs of the student.
    """
    if model._ready:
        return model._specs
    parts = model._parts
    x_spec, y_spec = symbolic(x), None if y is None else symbolic(y)

    def run_student(inputs: Any) -> Any:
        return forward(model.student, model._of_student(inputs), False)

    refuse_unbatched(model, x)
    with tf.init_scope():
        if parts.teacher is not None and not parts.teacher.network.built:
            SymbolicCall(parts.teacher.network).compute_output_spec(x_spec)
        if not model.student.built:
            SymbolicCall(run_student).compute_output_spec(x_spec)
        if parts.teacher is not None:
            parts.teacher.meet(model.student)
        if any(not layer.built for layer in model._loss_layers):
            build = functools.partial(_build_terms, model)
            SymbolicCall(build).compute_output_spec(x_spec, y_spec)
        outputs = SymbolicCall(run_student).compute_output_spec(x_spec)
        if model.compiled:
            if model.optimizer is not None and not model.optimizer.built:
                model.optimizer.build(model.trainable_variables)
            loss = model.compiled_loss
            if loss is not None and y is not None and not loss.built:
                predicted = labels.labelled_outputs(y_spec, outputs, model.student)
                labels.refuse_other_format_than_loss(model.loss, y_spec, predicted)
                SymbolicCall(loss).compute_output_spec(y_spec, predicted)
        if replicas.count() == 1 or tf.distribute.in_cross_replica_context():
            _look_at_outputs(model, x_spec)
    model._specs = Specs(x_spec, y_spec, outputs)
    model.built = True
    model._ready = model.compiled
    return model._specs


def refuse_unbatched(model: Any, x: Any) -> None:
    """Raise where each element of the data is one example, and no batch of them.

    Args:
        model: As for `build_for`.
        x: Its inputs, after `accept`.
    """
    inputs = getattr(model.student, "inputs", None)
    if not model.student.built or not inputs or model.student_inputs is not None:
        return
    for wanted, given in zip(inputs, keras.tree.flatten(x), strict=False):
        if len(given.shape) == len(wanted.shape) - 1 and tuple(given.shape) == wanted.shape[1:]:
            raise ValueError(
                "The data are not batched: the student takes batches of shape "
                f"{tuple(wanted.shape)}. Received: x of shape {tuple(given.shape)}, one example. "
                "Batch the dataset first, `dataset.batch(32)`."
            )


def _look_at_outputs(model: Any, x: Any) -> None:
    """Find out what networks without a graph put out, and repeat the checks of the constructor."""
    parts = model._parts
    if any(term.expects_logits for term in parts.terms) or model.compiled_loss is not None:
        parts.network.logits.look(x)
    if parts.teacher is not None:
        if any(term.expects_logits for term in parts.terms):
            parts.teacher.look(x)
        parts.teacher.refuse_losses(parts.terms)
        refuse_shifted_student(parts.terms, parts.network)
    kinds = set(parts.network.logits.kinds)
    if kinds == {"logits"}:
        labels.warn_if_logits_meet_probability_loss(model.loss, model.student, "logits")


def refuse_shifted_student(terms: Any, network: Any) -> None:
    """Raise `ValueError` where a loss needs raw logits, and the student ends in a softmax."""
    for term in terms:
        tapped = term.student_tap is not None
        if network.logits.is_shifted and not tapped and needs_raw_logits(term):
            holds = (
                f"the student {network.model.name!r} ends in a softmax, so only its "
                "log-probabilities are known."
            )
            raise ValueError(raw_logits_message(type(term.loss).__name__, holds))


def _build_terms(model: Any, x: Any, y: Any) -> Any:
    teacher, student = model.forward(Batch(x, y), training=False)
    inputs = {"x": x, "y": y, "sample_weight": None, "training": False, "sample_index": None}
    for term in model._parts.terms:
        term.build(teacher.of(term.teacher), student)
    step = tf.zeros((), tf.int64)
    return [
        term.value(teacher.of(term.teacher), student, inputs, step) for term in model._parts.terms
    ]
