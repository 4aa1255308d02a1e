"""Everything that this package measures, of several models on one test split, in one go.

TensorFlow is imported when it is needed: a saved report is read and shown without it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

import numpy as np

from kd_keras.arguments import check_integer
from kd_keras.evaluate.arrays import as_classes, as_logits, counted
from kd_keras.evaluate.calibration import (
    brier_score,
    cross_entropy,
    expected_calibration_error,
    reliability,
)
from kd_keras.evaluate.examination import Examination, Fidelity, TrainingScores
from kd_keras.evaluate.fidelity import agreement, kl_to_teacher
from kd_keras.evaluate.per_class import class_scores, confusion_matrix
from kd_keras.evaluate.prediction import check_dataset
from kd_keras.evaluate.predictor import Predict, as_predict, batches, in_batches
from kd_keras.evaluate.robustness import Robustness, Trials, try_models
from kd_keras.evaluate.segmentation import segmentation_scores
from kd_keras.evaluate.top_one import accuracy

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

# Views may depend on the place in a batch, so its size is fixed.
_VIEWED = 100


def examine(
    models: Mapping[str, keras.Model | Callable[[Any], Any]],
    dataset: tf.data.Dataset,
    *,
    teacher: str | None = None,
    training: tf.data.Dataset | None = None,
    views: Callable[[Any, int], Any] | None = None,
    trials: Trials | None = None,
    limit: int = 1000,
    ignored: int | None = None,
    progress: Callable[[str], None] | None = None,
    kept: MutableMapping[str, np.ndarray] | None = None,
) -> dict[str, Examination]:
    """Return what can be measured of each model: all see the same images.

    Accuracy, calibration, scores of the classes and fidelity are of the whole split; views and
    trials are of `limit` images of it, evenly spaced, for each trial is another pass.

    Args:
        models: By name, Keras models to logits, or functions from uint8 images to logits, such as
            `kd_keras.export.LiteModel("student.tflite").predict`. A function has no gradient, so
            it is not attacked.
        dataset: A finite `tf.data.Dataset` of batches (x, y) in a fixed order. Trials need uint8
            images (batch, height, width, 1 or 3).
        teacher: Name of the teacher among `models`; without it there is no fidelity.
        training: A finite dataset of clean training examples, for the overfit gap.
        views: A function of (images, number of the batch) that gives augmented images: the fidelity
            on them is measured too.
        trials: Corruptions, shifts and attacks; by default all of them. `Trials((), (), (), (),
            attacks=False)` leaves all out.
        limit: How many test images views and trials use at most, >= 1.
        ignored: The label of pixels that do not count, where there is a label for each.
        progress: Called with what is done next.
        kept: A dict of yours in which corrupted and moved images are kept, for the next call on the
            same dataset, `limit` and trials; 75 corruptions of 1,000 images of CIFAR-10 are 230 MB.

    Returns:
        An `Examination` for each model.

    Raises:
        TypeError: If `dataset` is no `tf.data.Dataset`, or a model cannot be called or has several
            outputs.
        ValueError: If an argument is out of its range, a dataset is empty or endless, or a model
            gives probabilities and not logits.

    Example:

    >>> import keras, tensorflow as tf
    >>> from kd_keras.evaluate import Trials, examine
    >>> student = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(),
    ...                             keras.layers.Dense(10)])
    >>> test = tf.data.Dataset.from_tensors((tf.zeros((5, 8, 8, 1), tf.uint8), [0, 0, 0, 3, 4]))
    >>> trials = Trials(corruptions=["fog"], severities=[1], rotations=[], scales=[1.0])
    >>> found = examine({"student": student}, test, trials=trials)["student"]
    >>> found.accuracy, found.robustness.scales
    (0.6, ((1.0, 0.6),))
    """
    check_integer("limit", limit, 1)
    if not models or (teacher is not None and teacher not in models):
        raise ValueError(
            "`models` must hold at least one model, and the teacher if one is named. Received: "
            f"models named {list(models)}, teacher={teacher!r}"
        )
    progress = progress or (lambda part: None)
    predictors = {name: as_predict(model, name) for name, model in models.items()}
    progress("test examples")
    logits, labels = _pass(predictors, dataset)
    classes = labels
    if ignored is None:
        classes = as_classes(labels, as_logits(next(iter(logits.values()))))
    training_scores: dict[str, TrainingScores] = {}
    if training is not None:
        progress("training examples")
        trained, training_labels = _pass(predictors, training)
        training_scores = {
            name: TrainingScores(
                len(training_labels),
                accuracy(trained[name], training_labels, ignored),
                cross_entropy(*counted(trained[name], training_labels, ignored)),
            )
            for name in models
        }
    chosen = np.unique(np.linspace(0, len(labels) - 1, min(limit, len(labels))).astype(int))
    images = _images(dataset, chosen)
    on_views: dict[str, Fidelity] = {}
    if views is not None and teacher is not None:
        progress("augmented views")
        seen = [np.asarray(views(batch, i)) for i, batch in enumerate(batches(images, _VIEWED))]
        viewed = {
            name: in_batches(predict, np.concatenate(seen)) for name, predict in predictors.items()
        }
        on_views = {name: _fidelity(viewed[teacher], viewed[name]) for name in models}
    tried = try_models(
        models, predictors, images, classes[chosen], trials or Trials(), progress, kept, ignored
    )
    return {
        name: _examination(
            logits[name],
            labels,
            ignored,
            fidelity=None if teacher is None else _fidelity(logits[teacher], logits[name]),
            fidelity_on_views=on_views.get(name),
            training=training_scores.get(name),
            robustness=tried[name],
        )
        for name in models
    }


def _examination(
    logits: np.ndarray,
    labels: np.ndarray,
    ignored: int | None,
    *,
    fidelity: Fidelity | None,
    fidelity_on_views: Fidelity | None,
    training: TrainingScores | None,
    robustness: Robustness,
) -> Examination:
    examples, segmentation = len(labels), None
    if labels.ndim == 3:
        segmentation = segmentation_scores(logits, labels, ignored)
    logits, labels = counted(logits, labels, ignored)
    classes = class_scores(logits, labels)
    confusion = confusion_matrix(logits, labels)
    return Examination(
        examples=examples,
        accuracy=accuracy(logits, labels),
        cross_entropy=cross_entropy(logits, labels),
        calibration_error=expected_calibration_error(logits, labels),
        brier_score=brier_score(logits, labels),
        reliability=reliability(logits, labels),
        precision=_defined(classes.precision),
        recall=_defined(classes.recall),
        class_examples=tuple(map(int, classes.examples)),
        confusions=tuple((int(a), int(b), int(confusion[a, b])) for a, b in np.argwhere(confusion)),
        fidelity=fidelity,
        fidelity_on_views=fidelity_on_views,
        training=training,
        robustness=robustness,
        segmentation=segmentation,
    )


def _fidelity(teacher: np.ndarray, student: np.ndarray) -> Fidelity:
    return Fidelity(len(teacher), agreement(student, teacher), kl_to_teacher(teacher, student))


def _defined(scores: np.ndarray) -> tuple[float | None, ...]:
    return tuple(None if np.isnan(score) else float(score) for score in scores)


def _pass(
    predictors: Mapping[str, Predict], dataset: tf.data.Dataset
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return each model's logits for all of a dataset, and the labels, in one pass over it."""
    check_dataset(dataset)
    logits: dict[str, list[np.ndarray]] = {name: [] for name in predictors}
    labels: list[np.ndarray] = []
    for x, y, *_ in dataset:
        for name, predict in predictors.items():
            logits[name].append(predict(x.numpy()))
        labels.append(y.numpy())
    if not labels:
        raise ValueError(f"`dataset` must hold at least one batch. Received: {dataset!r}")
    joined = {name: np.concatenate(parts) for name, parts in logits.items()}
    return joined, np.concatenate(labels)


def _images(dataset: tf.data.Dataset, chosen: np.ndarray) -> np.ndarray:
    """Return the images at these places of the dataset. A second pass: all may not fit."""
    kept: list[np.ndarray] = []
    counter = itertools.count()
    wanted = set(chosen.tolist())
    for x, *_ in dataset:
        kept += [image for image in x.numpy() if next(counter) in wanted]
    return np.stack(kept)
