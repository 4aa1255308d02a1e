"""Measures of the predicted probabilities: cross-entropy, Brier score and calibration."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from kd_keras.arguments import check_integer
from kd_keras.evaluate.arrays import as_classes, as_logits, log_softmax, refuse_probabilities

_MOST_TEMPERATURE = 100.0  # that is fitted; the least is its inverse


@dataclasses.dataclass(frozen=True)
class Reliability:
    """How often a model is right when it is how sure: what a reliability diagram shows.

    Bin k of n holds what is predicted with a confidence in (k / n, (k + 1) / n], k from 0.

    Attributes:
        confidence: Mean confidence in each bin, 0..1; None in an empty one.
        accuracy: Share of correct answers in each bin, 0..1; None in an empty one.
        examples: How many examples each bin holds.
    """

    confidence: tuple[float | None, ...]
    accuracy: tuple[float | None, ...]
    examples: tuple[int, ...]


def cross_entropy(logits: Any, labels: Any) -> float:
    """Return the mean negative log-likelihood of the labels, in nats.

    ```
    cross_entropy = -mean_i log softmax(logits_i)[label_i]
    ```

    Args:
        logits: Logits `(examples, ..., classes)`; one column is the logit of a binary class.
        labels: Class ids or one-hot labels, as in `accuracy`. Of soft labels the largest share
            counts.

    Returns:
        A number >= 0; log(classes) for a model that knows nothing.

    Raises:
        ValueError: As `accuracy`, and if the rows are probabilities already.

    Example:

    >>> import kd_keras
    >>> round(kd_keras.evaluate.cross_entropy([[0.0, 0.0]], [1]), 4)
    0.6931
    """
    log_probabilities, classes = _log_probabilities(logits, labels)
    chosen = np.take_along_axis(log_probabilities, classes[..., None], axis=-1)
    return float(-np.mean(chosen))


def brier_score(logits: Any, labels: Any) -> float:
    """Return the mean squared distance between probabilities and one-hot labels.

    ```
    Brier = mean_i sum_c (softmax(logits_i)_c - [c = label_i])^2
    ```

    Args:
        logits: Logits `(examples, ..., classes)`; one column is the logit of a binary class.
        labels: Class ids or one-hot labels, as in `accuracy`.

    Returns:
        A number from 0 (always sure and right) to 2 (always sure and wrong).

    Raises:
        ValueError: As `cross_entropy`.

    Example:

    >>> import kd_keras
    >>> round(kd_keras.evaluate.brier_score([[0.0, 0.0]], [1]), 4)
    0.5

    Reference: Brier, "Verification of Forecasts Expressed in Terms of Probability", Monthly Weather
    Review 78(1), 1950.
    """
    log_probabilities, classes = _log_probabilities(logits, labels)
    one_hot = np.eye(log_probabilities.shape[-1])[classes]
    return float(np.mean(np.sum((np.exp(log_probabilities) - one_hot) ** 2, axis=-1)))


def expected_calibration_error(logits: Any, labels: Any, bins: int = 15) -> float:
    """Return how far confidence is from accuracy, on average over bins of equal width.

    ```
    p_i = max_c softmax(logits_i)
    ECE = sum_b (n_b / n) * |mean accuracy in b - mean p in b|,  b = ((k - 1) / bins, k / bins]
    ```

    Args:
        logits: Logits `(examples, ..., classes)`; one column is the logit of a binary class.
        labels: Class ids or one-hot labels, as in `accuracy`.
        bins: How many bins divide 0..1, >= 1.

    Returns:
        A number from 0 (what is said with 80 % confidence is right in 80 % of cases) to 1.

    Raises:
        ValueError: As `cross_entropy`, and if `bins` is not a positive integer.

    Example:

    >>> import kd_keras
    >>> round(kd_keras.evaluate.expected_calibration_error([[0.0, 0.0], [0.0, 0.0]], [0, 1]), 4)
    0.0

    Reference: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, arXiv:1706.04599.
    """
    examples, confidence, correct = _bin_sums(logits, labels, bins)
    return float(np.abs(correct - confidence).sum() / examples.sum())


def reliability(logits: Any, labels: Any, bins: int = 15) -> Reliability:
    """Return confidence and accuracy in bins of equal width: the reliability diagram's data.

    ```
    ECE = sum_b (n_b / n) * |accuracy_b - confidence_b|
    ```

    Args:
        logits: Logits `(examples, ..., classes)`; one column is the logit of a binary class.
        labels: Class ids or one-hot labels, as in `accuracy`.
        bins: How many bins divide 0..1, >= 1.

    Raises:
        ValueError: As `expected_calibration_error`.

    Example:

    >>> import kd_keras
    >>> kd_keras.evaluate.reliability([[0.0, 0.0], [0.0, 0.0]], [0, 1], bins=2)
    Reliability(confidence=(0.5, None), accuracy=(0.5, None), examples=(2, 0))

    Reference: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, arXiv:1706.04599.
    """
    examples, confidence, correct = _bin_sums(logits, labels, bins)

    def means(sums: np.ndarray) -> tuple[float | None, ...]:
        pairs = zip(sums, examples, strict=True)
        return tuple(float(value / count) if count else None for value, count in pairs)

    return Reliability(means(confidence), means(correct), tuple(map(int, examples)))


def fit_temperature(logits: Any, labels: Any) -> float:
    """Return the temperature at which a model's probabilities fit the labels best.

    ```
    T = argmin_T cross_entropy(logits / T),  0.01 <= T <= 100
    ```

    Dividing logits by it changes no answer. Above 1 the model is surer than it is right. Fit it on
    examples that the model was not trained on. A teacher is calibrated by it before it teaches:
    `kd_keras.teachers.Frozen(model, temperature=T)`.

    Args:
        logits: Logits `(examples, ..., classes)`; one column is the logit of a binary class.
        labels: Class ids or one-hot labels, as in `accuracy`. Of soft labels the largest share
            counts.

    Returns:
        A number from 0.01, where the model is always right, to 100, where it knows nothing.

    Raises:
        ValueError: As `cross_entropy`.

    Example:

    >>> import kd_keras
    >>> logits = [[2.0, 0.0]] * 4  # right in three cases of four, with a logit of 2
    >>> round(kd_keras.evaluate.fit_temperature(logits, [0, 0, 0, 1]), 4)  # 2 / log(3)
    1.8205

    Reference: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, arXiv:1706.04599.
    """
    from scipy.optimize import minimize_scalar

    scores = as_logits(logits)
    classes = as_classes(labels, scores)
    refuse_probabilities(scores)
    # From each score that of the label is taken: what is left is log(sum(exp(them / T))).
    gaps = scores - np.take_along_axis(scores, classes[..., None], axis=-1)

    def nll(log_inverse: float) -> float:
        return float(np.mean(np.logaddexp.reduce(gaps * np.exp(log_inverse), axis=-1)))

    # Convex in 1 / T, so it has one minimum in log(1 / T) too.
    most = np.log(_MOST_TEMPERATURE)
    found = minimize_scalar(nll, bounds=(-most, most), method="bounded", options={"xatol": 1e-6})
    # A minimum at a bound is approached and not reached.
    log_inverse = min((found.x, -most, most), key=nll)
    return float(np.clip(np.exp(-log_inverse), 1 / _MOST_TEMPERATURE, _MOST_TEMPERATURE))


def _bin_sums(logits: Any, labels: Any, bins: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return for each bin the examples, the sum of confidences and the correct answers."""
    bins = check_integer("bins", bins, 1)
    log_probabilities, classes = _log_probabilities(logits, labels)
    confidence = np.exp(log_probabilities.max(axis=-1)).ravel()
    correct = (log_probabilities.argmax(axis=-1) == classes).ravel()
    # Bins are open below and closed above, so that a confidence of exactly 1 is in the last one.
    index = np.clip(np.ceil(confidence * bins).astype("int64") - 1, 0, bins - 1)
    return (
        np.bincount(index, minlength=bins),
        np.bincount(index, weights=confidence, minlength=bins),
        np.bincount(index, weights=correct, minlength=bins),
    )


def _log_probabilities(logits: Any, labels: Any) -> tuple[np.ndarray, np.ndarray]:
    scores = as_logits(logits)
    classes = as_classes(labels, scores)
    refuse_probabilities(scores)
    return log_softmax(scores), classes
