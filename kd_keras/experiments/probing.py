"""What a teacher says of the validation split, and what a student learns from it in a few steps."""

from __future__ import annotations

import contextlib
import dataclasses
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from kd_keras import evaluate
from kd_keras.evaluate.arrays import as_logits, log_softmax
from kd_keras.experiments.stages import Material, distiller
from kd_keras.graph_errors import NonFiniteLossError
from kd_keras.recipes.stage import STUDENT, TEACHER, is_file


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A teacher, and what it says.

    Attributes:
        material: The data, and a recipe with this teacher.
        network: The teacher: examples of the data in, logits out.
        logits: Its logits on the validation split.
        labels: The labels there.
    """

    material: Material
    network: keras.Model
    logits: np.ndarray
    labels: np.ndarray


def ask(name: str, material: Material, network: keras.Model, finds_range: bool) -> Candidate:
    """Return what the teacher of a recipe says of the validation split.

    Args:
        name: What an error calls the teacher.
        material: The data and the recipe.
        network: The teacher, as the recipe builds it.
        finds_range: Whether a file is shown images in the usual range in which it is right most
            often, and not in the recipe's.

    Raises:
        ValueError: If an answer is not finite.
    """
    with _of_teacher(name):
        if finds_range and is_file(material.recipe.teacher):
            scores = material.scores(material.recipe.stage(TEACHER))
            best = max(
                scores, key=lambda value_range: (scores[value_range][0], -scores[value_range][1])
            )
            if best != material.recipe.teacher_value_range:
                recipe = dataclasses.replace(material.recipe, teacher_value_range=best)
                material = dataclasses.replace(material, recipe=recipe)
                network = material.build(recipe.stage(TEACHER))
        logits, labels = evaluate.predict_logits(network, material.splits.validation)
        return Candidate(material, network, as_logits(logits), labels)


def probe(candidate: Candidate, name: str, steps: int, progress: Callable[[int], None]) -> Any:
    """Return the logits on the validation split of a student that was taught for a few steps.

    The student, its initial weights, the batches and the views are functions of the recipe alone
    and the same for every teacher.

    Args:
        candidate: The teacher. It is frozen.
        name: What an error calls it.
        steps: How many, with Adam; the rate falls to 0 along half a cosine.
        progress: Called after every step with the number of steps done.

    Raises:
        NonFiniteLossError: If the loss is not finite any more.
    """
    material = candidate.material
    recipe, splits, task = material.recipe, material.splits, material.task
    student = material.build(recipe.stage(STUDENT))
    model = distiller({TEACHER: candidate.network}, student, material)
    rate = keras.optimizers.schedules.CosineDecay(recipe.learning_rate, steps)
    model.compile(optimizer=keras.optimizers.Adam(rate), loss=task.loss())
    # With every variable made beforehand TensorFlow traces the step once and not twice.
    model.build_from_batch(data_batch=next(iter(splits.validation)))
    counter = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda step, logs: progress(step + 1)
    )
    try:
        with warnings.catch_warnings():
            # How often a teacher is right is among what is measured.
            warnings.filterwarnings("ignore", r"The teacher .* is right on .* near chance")
            model.fit(
                splits.training(),
                steps_per_epoch=steps,
                shuffle=False,
                verbose=0,
                callbacks=[counter],
            )
    except NonFiniteLossError as error:
        raise NonFiniteLossError(
            f"The probe of the teacher {name!r} stopped. {error} Try a lower `learning_rate` than "
            f"{recipe.learning_rate:g} (--learning-rate), or leave this teacher out."
        ) from None
    return evaluate.predict_logits(student, splits.validation)[0]


def spread(logits: Any, temperature: float) -> tuple[float, float]:
    """Return how far soft labels spread: mean entropy, and mean probability beside the top class.

    ```
    p_i = softmax(logits_i / T)
    entropy = -mean_i sum_c p_ic log p_ic,  rest = mean_i (1 - max_c p_ic)
    ```

    Args:
        logits: Logits `(examples, classes)`.
        temperature: T > 0.

    Returns:
        (entropy, rest): the entropy in nats, from 0 to log(classes), and the probability, from 0 to
        1 - 1 / classes.

    Raises:
        ValueError: If the array is empty, or a logit is NaN.

    Example:

    >>> from kd_keras.experiments.probing import spread
    >>> entropy, rest = spread([[0.0, 0.0]], 4.0)
    >>> round(entropy, 4), rest  # log 2
    (0.6931, 0.5)
    """
    log_probabilities = log_softmax(as_logits(logits) / temperature)
    probabilities = np.exp(log_probabilities)
    # 0 * log 0 is 0: a class that is masked with -inf has no part in it.
    terms = np.multiply(
        probabilities,
        log_probabilities,
        out=np.zeros_like(probabilities),
        where=probabilities > 0,
    )
    return -float(terms.sum(axis=-1).mean()), 1.0 - float(probabilities.max(axis=-1).mean())


@contextlib.contextmanager
def _of_teacher(name: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise ValueError(f"The teacher {name!r} cannot be judged. {error}") from error
