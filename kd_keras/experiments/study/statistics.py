"""Means, differences and interactions of cells, with intervals over seeds and test examples.

Imports NumPy alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from kd_keras.arguments import check_integer, check_number

_CHUNK = 256


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A mean with its bootstrap interval.

    Attributes:
        mean: The mean over all seeds and examples.
        low: Lower end of the interval.
        high: Upper end of the interval.
        seeds: How many seeds it rests on.
    """

    mean: float
    low: float
    high: float
    seeds: int


def hierarchical_bootstrap(
    values: np.ndarray, replicates: int = 2000, level: float = 0.95, seed: int = 0
) -> Estimate:
    """Return the mean of a seeds-by-examples array and its percentile interval.

    Each replicate draws the seeds with replacement and, independently, the test examples with
    replacement, the same examples for every seed: all students answer one and the same test. The
    interval therefore says how far the mean might lie from that over other seeds and other test
    images. With a single seed only the images vary, and with few seeds it is somewhat too narrow,
    as every bootstrap of few units is.

    Args:
        values: `(seeds, examples)`, a number for each: correctness (0 or 1), or a combination of
            the correctness of several cells, taken for the same seed and example.
        replicates: How many draws, >= 100.
        level: Share of the replicates inside the interval, between 0 and 1.
        seed: Any integer.

    Raises:
        ValueError: If an argument is out of its range.

    Example:

    >>> import numpy as np
    >>> from kd_keras.experiments.study import hierarchical_bootstrap
    >>> hierarchical_bootstrap(np.ones((3, 10)))
    Estimate(mean=1.0, low=1.0, high=1.0, seeds=3)

    Reference: Davison and Hinkley, "Bootstrap Methods and their Application", 1997, section 3.8.
    """
    values = np.asarray(values, "float64")
    if values.ndim != 2 or not values.size or not np.isfinite(values).all():
        raise ValueError(
            "`values` must be finite numbers of shape (seeds, examples). "
            f"Received: shape {values.shape}"
        )
    replicates = check_integer("replicates", replicates, 100)
    level = check_number("level", level, above=0, below=1)
    seeds, examples = values.shape
    generator = np.random.default_rng(seed)
    means = np.empty(replicates)
    for start in range(0, replicates, _CHUNK):
        count = min(_CHUNK, replicates - start)
        # How often each seed and each example was drawn.
        seed_counts = generator.multinomial(seeds, np.full(seeds, 1 / seeds), size=count)
        example_counts = generator.multinomial(
            examples, np.full(examples, 1 / examples), size=count
        )
        by_seed = values @ example_counts.T / examples
        means[start : start + count] = (seed_counts * by_seed.T).sum(axis=1) / seeds
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(float(values.mean()), float(low), float(high), seeds)


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float | None]:
    """Return the mean and the sample standard deviation, `None` for a single value."""
    array = np.asarray(values, "float64")
    return float(array.mean()), float(array.std(ddof=1)) if len(array) > 1 else None


def interaction(
    both: np.ndarray, first: np.ndarray, second: np.ndarray, neither: np.ndarray
) -> np.ndarray:
    """Return what two factors give together beyond the sum of what each gives alone.

    ```
    interaction = both - first - second + neither
                = (both - neither) - (first - neither) - (second - neither)
    ```

    Args:
        both: Values with both factors, any shape.
        first: With the first factor alone.
        second: With the second factor alone.
        neither: With neither.

    Returns:
        An array of that shape; positive where the factors help each other.
    """
    return np.asarray(both, "float64") - first - second + neither
