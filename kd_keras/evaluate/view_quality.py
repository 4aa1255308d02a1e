"""How good an augmentation is for distillation, told by the teacher before any student is trained.

TensorFlow is imported when a teacher is run.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from kd_keras.arguments import check_integer
from kd_keras.evaluate.arrays import as_logits, log_softmax

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

# Takes images and a step, gives the probabilities of their views.
Labeller = Callable[[Any, int], np.ndarray]

# Each seed has so many steps of an augmentation to itself.
_STEPS_PER_SEED = 2**20


class BatchMeans(NamedTuple):
    """Mean probabilities of batches, and how many examples stand behind each.

    Attributes:
        probabilities: `(batches, classes)` float64.
        examples: `(batches,)` int64.
    """

    probabilities: np.ndarray
    examples: np.ndarray


def teacher_stddev(
    teacher: keras.Model,
    dataset: tf.data.Dataset,
    augmentation: Callable[..., Any],
    *,
    window: int = 10,
    windows: int = 20,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> float:
    """Return T.stddev, the spread of the teacher's mean probability; the lower, the better.

    ```
    u_k = mean over the k-th window of softmax(teacher(x))   (classes,)
    T.stddev = mean over classes of std over k of u_k        (with windows - 1 below the fraction)
    ```

    A window holds `window` teacher batches: `window / 2` batches of the data, and a view of each.
    The idea: a student learns from the teacher's answers on a finite sample; an augmentation is
    good when those answers scatter little from sample to sample. Compare values of the same
    teacher, data, batch size and window alone.

    Args:
        teacher: A Keras classifier with one output of logits; it is called with `training=False`.
        dataset: Shuffled batches `x` or `(x, y, ...)`, endless or at least
            `windows * window / 2` of them.
        augmentation: Called as `augmentation(images, step=step)`, such as a policy of
            `kd_keras.augment`; step is an integer.
        window: Teacher batches in a window, an even number of at least 2. The paper's is 10.
        windows: Windows, at least 2.
        seed: Which views: seed s is shown the steps from s * 2^20 on. At least 0, below 2^19.
        progress: Called after every batch of the teacher with how many are done.

    Returns:
        T.stddev, at least 0.

    Raises:
        ValueError: If an argument is out of range, the dataset is too short, or the teacher does
            not return logits.

    Example:

    >>> import keras, kd_keras, numpy as np, tensorflow as tf
    >>> keras.utils.set_random_seed(0)
    >>> teacher = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(),
    ...                             keras.layers.Dense(3)])
    >>> images = np.random.default_rng(0).normal(size=(64, 8, 8, 1)).astype("float32")
    >>> batches = tf.data.Dataset.from_tensor_slices(images).batch(8)
    >>> same = lambda images, step: images
    >>> kd_keras.evaluate.teacher_stddev(teacher, batches, same, window=2, windows=8) > 0
    True
    >>> one = batches.take(1).repeat()
    >>> kd_keras.evaluate.teacher_stddev(teacher, one, same, window=2, windows=8)
    0.0

    Reference: Wang et al., "What Makes a 'Good' Data Augmentation in Knowledge Distillation - A
    Statistical Perspective", NeurIPS 2022, arXiv:2012.02909.
    """
    batches = checked_batches(window, windows)
    check_integer("seed", seed, 0, 2**19 - 1, "Steps would run out above it.")

    def counted(offset: int) -> Callable[[int], None]:
        return lambda done: None if progress is None else progress(offset + done)

    originals = mean_probabilities(label_views(teacher), dataset, batches, progress=counted(0))
    views = mean_probabilities(
        label_views(teacher, augmentation), dataset, batches, seed=seed, progress=counted(batches)
    )
    return window_stddev(originals, views, window)


def label_views(teacher: keras.Model, augmentation: Callable[..., Any] | None = None) -> Labeller:
    """Return a function of (images, step) that gives the teacher's probabilities for their views.

    Augmentation and teacher are compiled together, at the first call.

    Args:
        teacher: As `teacher_stddev` takes it.
        augmentation: As `teacher_stddev` takes it, or `None` for the images as they are.

    Returns:
        A function that returns float64 `(batch, classes)` at temperature 1, and raises `ValueError`
        where the teacher does not return logits.
    """
    import tensorflow as tf

    takes_integers = any(
        tf.as_dtype(tensor.dtype).is_integer for tensor in getattr(teacher, "inputs", None) or []
    )

    @tf.function(reduce_retracing=True)
    def logits_of(images: Any, step: Any) -> Any:
        if augmentation is not None:
            images = augmentation(images, step=step)
        # A convolution on uint8 fails, and Keras casts for functional models alone.
        if images.dtype == tf.uint8 and not takes_integers:
            images = tf.cast(images, tf.float32)
        return teacher(images, training=False)

    return lambda images, step: _probabilities(logits_of(images, tf.constant(step, tf.int64)))


def mean_probabilities(
    label: Labeller,
    dataset: tf.data.Dataset,
    batches: int,
    *,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> BatchMeans:
    """Return the mean of the teacher's probabilities over each of the first batches.

    Args:
        label: What `label_views` returned.
        dataset: As `teacher_stddev` takes it; read from its beginning.
        batches: How many.
        seed: As `teacher_stddev` takes it.
        progress: Called after every batch with how many are done.

    Raises:
        ValueError: If the dataset is too short or the teacher does not return logits.
    """
    check_integer("batches", batches, 1)
    check_integer("seed", seed, 0, 2**19 - 1, "Steps would run out above it.")
    means, examples = [], []
    for index, batch in enumerate(itertools.islice(dataset, batches)):
        images = batch[0] if isinstance(batch, (tuple, list)) else batch
        probabilities = label(images, seed * _STEPS_PER_SEED + index)
        means.append(probabilities.mean(axis=0))
        examples.append(len(probabilities))
        if progress is not None:
            progress(index + 1)
    if len(means) < batches:
        raise ValueError(
            f"`dataset` must give {batches} batches, which is windows * window / 2. Received: one "
            f"of {len(means)} batches. Repeat it (`dataset.repeat()`), or lower `windows`."
        )
    return BatchMeans(np.stack(means), np.array(examples))


def window_stddev(originals: BatchMeans, views: BatchMeans, window: int = 10) -> float:
    """Return T.stddev from the means of batches of data and of the views of the same batches.

    Args:
        originals: Means over batches of the data; what is left over after the last whole window
            is not looked at.
        views: Means over the views of those batches.
        window: As `teacher_stddev` takes it.

    Example:

    >>> import numpy as np
    >>> from kd_keras.evaluate.view_quality import BatchMeans, window_stddev
    >>> examples = np.array([4, 4])
    >>> data = BatchMeans(np.array([[0.5, 0.5], [0.5, 0.5]]), examples)
    >>> views = BatchMeans(np.array([[0.5, 0.5], [0.9, 0.1]]), examples)
    >>> round(window_stddev(data, views, window=2), 4)
    0.1414
    """
    batches = window // 2
    windows = len(originals.examples) // batches
    both = np.stack([originals.probabilities, views.probabilities], axis=1)
    weights = np.stack([originals.examples, views.examples], axis=1).astype("float64")
    kept = windows * batches
    grouped = both[:kept].reshape(windows, window, -1)
    shares = weights[:kept].reshape(windows, window, 1)
    means = (grouped * shares).sum(axis=1) / shares.sum(axis=1)
    # From the first window's mean, so that equal windows give 0 and not what rounding leaves.
    return float((means - means[0]).std(axis=0, ddof=1).mean())


def checked_batches(window: int, windows: int) -> int:
    """Return how many batches of data the windows take; raise if an argument is out of range."""
    check_integer("window", window, 2)
    if window % 2:
        raise ValueError(
            "`window` must be even: half of its teacher batches are data and half are views. "
            f"Received: window={window}."
        )
    check_integer("windows", windows, 2)
    return windows * window // 2


def _probabilities(outputs: Any) -> np.ndarray:
    if isinstance(outputs, (dict, list, tuple)) or len(outputs.shape) != 2:
        raise ValueError(
            "`teacher` must have one output of shape (batch, classes). Received: "
            f"{outputs!r}. Wrap it into a model with that output alone."
        )
    logits = as_logits(outputs.numpy().astype("float32"), "teacher(images)")
    if logits.min() >= 0 and np.allclose(logits.sum(axis=-1), 1, atol=1e-5):
        raise ValueError(
            "`teacher` must return logits, but every row of its output is >= 0 and sums to 1, as "
            "that of a softmax does. Take the last activation off."
        )
    return np.exp(log_softmax(logits))
