"""How much corruptions cost a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from kd_keras.evaluate.corruptions.corrupt import CORRUPTIONS, SEVERITIES, corrupt
from kd_keras.evaluate.prediction import predict_logits
from kd_keras.evaluate.top_one import accuracy

if TYPE_CHECKING:
    import keras


def corruption_errors(
    models: Mapping[str, keras.Model],
    dataset: tf.data.Dataset,
    corruptions: Sequence[str] = CORRUPTIONS,
    severities: Sequence[int] = SEVERITIES,
    seed: int = 0,
    progress: Callable[[str, int], None] | None = None,
) -> dict[str, dict[str, list[float]]]:
    """Return the error rate of each model under each corruption at each severity.

    All models see the very same corrupted images, which are made once.

    Args:
        models: Keras models to logits, by name.
        dataset: A finite `tf.data.Dataset` of batches (x, y) of uint8 images.
        corruptions: Some of `CORRUPTIONS`.
        severities: Some of 1 to 5.
        seed: Any integer.
        progress: Called with corruption and severity before each.

    Returns:
        For each model, for each corruption, the share of wrong answers at each severity.

    Raises:
        TypeError: As `corrupt` and `predict_logits`.
        ValueError: As `corrupt` and `predict_logits`.

    Example:

    ```python
    from kd_keras.evaluate import corruptions

    errors = corruptions.corruption_errors({"alone": alone, "distilled": student}, cifar10.test)
    corruptions.mean_corruption_error(errors["distilled"], errors["alone"])
    ```
    """
    errors: dict[str, dict[str, list[float]]] = {
        name: {corruption: [] for corruption in corruptions} for name in models
    }
    for corruption in corruptions:
        for severity in severities:
            if progress is not None:
                progress(corruption, severity)
            # Bound at once: the mapped function is traced before the loop goes on.
            corrupted = dataset.map(
                lambda x, y, *_, c=corruption, s=severity: (corrupt(x, c, s, seed), y),
                num_parallel_calls=tf.data.AUTOTUNE,
            ).cache()
            for name, model in models.items():
                logits, labels = predict_logits(model, corrupted)
                errors[name][corruption].append(1 - accuracy(logits, labels))
    return errors


def mean_corruption_error(
    errors: Mapping[str, Sequence[float]], baseline: Mapping[str, Sequence[float]]
) -> float:
    """Return the mean corruption error against a baseline model.

    ```
    mCE = mean_c (sum_s error_cs / sum_s baseline_cs)
    ```

    Args:
        errors: Error rates of a model by corruption, a number for each severity, such as one value
            of `corruption_errors`.
        baseline: The same of the model to compare with, such as the student trained alone.

    Returns:
        1 where the model suffers as the baseline does, below 1 where it suffers less.

    Raises:
        ValueError: If the corruptions differ, or the baseline makes no error under one of them.

    Example:

    >>> from kd_keras.evaluate.corruptions import mean_corruption_error
    >>> mean_corruption_error({"fog": [0.25], "snow": [0.5]}, {"fog": [0.5], "snow": [0.5]})
    0.75

    Reference: Hendrycks and Dietterich, ICLR 2019, arXiv:1903.12261, section 4.2.
    """
    lengths = [{name: len(values) for name, values in e.items()} for e in (errors, baseline)]
    if lengths[0] != lengths[1] or not errors:
        raise ValueError(
            "`errors` and `baseline` must hold the same corruptions and severities. Received: "
            f"{lengths[0]} and {lengths[1]}"
        )
    sums = {name: float(np.sum(values)) for name, values in baseline.items()}
    flawless = [name for name, value in sums.items() if value <= 0]
    if flawless:
        raise ValueError(
            f"`baseline` makes no error under {flawless}, so nothing can be compared with it. Take "
            "more test images."
        )
    return float(np.mean([np.sum(values) / sums[name] for name, values in errors.items()]))
