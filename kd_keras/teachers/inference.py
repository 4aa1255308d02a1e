"""The teacher's forward pass at the lowest price that is exact."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kd_keras.teachers.fingerprint import Fingerprint
from kd_keras.teachers.inference_graph import NoBfloat16Error, NotFreezableError, freeze_graph

MODES = ("auto", "keras", "bfloat16")
# The largest difference to the Keras model's outputs, as a part of the largest output.
TOLERANCE = 1e-4
_ROWS = 32
_ROWS_OF_A_DRAW = 4
_DRAWS: tuple[Callable[..., np.ndarray], ...] = (
    lambda random, shape: random.uniform(0.0, 1.0, shape),
    lambda random, shape: random.normal(size=shape),
    lambda random, shape: random.uniform(0.0, 255.0, shape),
)

_logger = logging.getLogger("kd_keras")


class TeacherInference:
    """Run a teacher that does not move, as a graph of constants where that is exact.

    Args:
        network: Runs the teacher on `(x, training=False)`.
        teacher: The `keras.Model` or `keras.Layer` inside.
        mode: One of `MODES`, as `kd_keras.Distiller` takes it.
    """

    def __init__(self, network: Callable[..., Any], teacher: Any, mode: str):
        self._network = network
        self._teacher = teacher
        self.mode = mode
        # Counts the times that graphs which call this one became stale.
        self.version = 0
        self._graphs: dict[Any, Callable[[Any], Any] | None] = {}
        self._fingerprint: Fingerprint | None = None
        self._weights = b""
        self._sample: Any = None
        self._said: set[str] = set()
        self._gives_up = mode == "keras"

    @tf.autograph.experimental.do_not_convert
    def __call__(self, x: Any, training: bool = False) -> Any:
        """Return what `network(x, training=False)` returns."""
        graph = self._graph_for(x)
        return self._network(x, training=False) if graph is None else graph(x)

    def is_constant(self, x: Any) -> bool:
        """Whether x is answered by a graph of constants, which no change of weights reaches."""
        return self._graph_for(x) is not None

    def _graph_for(self, x: Any) -> Callable[[Any], Any] | None:
        if self._gives_up or tf.executing_eagerly():
            return None
        if not all(isinstance(leaf, tf.Tensor) and leaf.shape.rank for leaf in _leaves(x)):
            return None  # symbolic, ragged or sparse
        specs = keras.tree.map_structure(_spec, x)
        key = repr(specs)
        if key not in self._graphs:
            with tf.init_scope():
                self._graphs[key] = self._freeze(specs)
        return self._graphs[key]

    @property
    def is_frozen(self) -> bool:
        """Whether a graph of constants is in use."""
        return any(graph is not None for graph in self._graphs.values())

    def offer_sample(self, x: Any) -> None:
        """Note rows of real data, on which the graph will be compared with the Keras model."""
        leaves = _leaves(x)
        if leaves and all(isinstance(leaf, (np.ndarray, tf.Tensor)) for leaf in leaves):
            self._sample = keras.tree.map_structure(lambda leaf: np.array(leaf[:_ROWS]), x)

    def forget(self) -> None:
        """Drop all graphs, as before functions are traced anew."""
        self._graphs.clear()

    def refresh(self, is_moving: bool) -> None:
        """Drop all graphs if the teacher's weights are not those that were frozen.

        Args:
            is_moving: Whether a change means that the teacher moves while it teaches: it is not
                frozen again then.
        """
        if not self.is_frozen or self._fingerprint is None or self._fingerprint() == self._weights:
            return
        self.forget()
        self.version += 1
        if is_moving:
            self._gives_up = True
            self._say(
                logging.WARNING,
                "its weights moved while it taught. Declare such a "
                "teacher: Frozen(teacher, inference='keras')",
            )
        else:
            _logger.info(
                "The weights of teacher %r have changed: its inference graph is made anew.",
                self._teacher.name,
            )

    def _freeze(self, specs: Any) -> Callable[[Any], Any] | None:
        is_asked_for = self.mode == "bfloat16"
        try:
            if tf.distribute.has_strategy() and not _has_process_of_its_own():
                raise NotFreezableError("a distribution strategy is active")
            known = self._fingerprint if self.is_frozen else None
            fingerprint = known or Fingerprint(self._teacher)
            weights = fingerprint()
            try:
                graph = freeze_graph(self._network, self._teacher, specs, bfloat16=is_asked_for)
            except NoBfloat16Error as error:
                is_asked_for = False
                _logger.warning("Teacher %r runs in float32: %s.", self._teacher.name, error)
                graph = freeze_graph(self._network, self._teacher, specs)
            difference, data = self._difference(graph, specs)
            if not is_asked_for and not difference <= TOLERANCE:
                raise NotFreezableError(
                    f"its inference graph differs by {difference:.1e} of the largest output on "
                    f"{data}, more than {TOLERANCE:.0e}"
                )
        except NotFreezableError as error:
            self._say(logging.WARNING if is_asked_for else logging.INFO, str(error))
            return None
        except Exception as error:  # whatever a layer or the optimizer may raise: Keras still runs
            self._say(logging.WARNING, f"{type(error).__name__}: {error}")
            return None
        self._fingerprint, self._weights = fingerprint, weights
        if "frozen" not in self._said:
            self._said.add("frozen")
            _logger.info(
                "Teacher %r runs as an inference graph%s: the largest difference to the Keras "
                "model is %.1e of the largest output, on %s.",
                self._teacher.name,
                " in bfloat16" if is_asked_for else "",
                difference,
                data,
            )
        return graph

    def _say(self, level: int, reason: str) -> None:
        if reason not in self._said:
            self._said.add(reason)
            _logger.log(level, "Teacher %r runs as a Keras model: %s.", self._teacher.name, reason)

    def _difference(self, graph: Callable[[Any], Any], specs: Any) -> tuple[float, str]:
        """Return the largest relative difference to the Keras model, and on what it was found."""
        sample = _fitting(self._sample, specs)
        found = None if sample is None else self._difference_on(graph, sample, 1)
        if found is not None:
            return found, "rows of x"
        found = self._difference_on(graph, _probe(specs), len(_DRAWS))
        return float("inf") if found is None else found, "random inputs"

    def _difference_on(self, graph: Callable[[Any], Any], x: Any, parts: int) -> float | None:
        """Return the largest relative difference on any of so many equal parts of `x`.

        `None` if the Keras model's own outputs are finite on none of them.
        """
        plain, found = keras.tree.flatten(self._network(x, training=False)), graph(x)
        differences = [
            [
                relative_difference(expected, answered)
                for expected, answered in zip(_split(a, parts), _split(b, parts), strict=True)
            ]
            for a, b in zip(plain, keras.tree.flatten(found), strict=True)
        ]
        of_parts = [max(numbers) for numbers in zip(*differences, strict=True)]
        return max((number for number in of_parts if not np.isnan(number)), default=None)


def relative_difference(expected: np.ndarray, found: np.ndarray) -> float:
    """Return the largest difference over the largest magnitude of `expected`.

    NaN if `expected` is not finite, infinity if `found` alone is not.
    """
    expected, found = expected.astype("float64"), found.astype("float64")
    if not np.isfinite(expected).all():
        return float("nan")
    difference = np.max(np.abs(expected - found), initial=0.0)
    if difference == 0.0:
        return 0.0
    ratio = difference / max(np.max(np.abs(expected)), np.finfo("float32").tiny)
    return float(ratio) if np.isfinite(ratio) else float("inf")


def _has_process_of_its_own() -> bool:
    """Whether this replica is one of several, and the only one in this process."""
    strategy = tf.distribute.get_strategy()
    return len(strategy.extended.worker_devices) == 1 < strategy.num_replicas_in_sync


def _split(output: Any, parts: int) -> list[np.ndarray]:
    """Return `output` in parts of equal rows, or whole in each part where it has no such rows."""
    array = keras.ops.convert_to_numpy(output)
    if array.ndim == 0 or array.shape[0] % parts:
        return [array] * parts
    return np.split(array, parts)


def _leaves(x: Any) -> list[Any]:
    return keras.tree.flatten(x)


def _spec(tensor: Any) -> tf.TensorSpec:
    return tf.TensorSpec([None, *tensor.shape[1:]], tensor.dtype)


def _fitting(sample: Any, specs: Any) -> Any:
    """Return `sample` with the dtypes of `specs`, or `None` if it does not fit them."""
    if sample is None:
        return None
    try:
        keras.tree.assert_same_structure(sample, specs)
    except ValueError:
        return None
    tensors = keras.tree.map_structure(
        lambda leaf, spec: tf.cast(tf.convert_to_tensor(leaf), spec.dtype), sample, specs
    )
    pairs = zip(_leaves(tensors), _leaves(specs), strict=True)
    fits = all(spec.shape.is_compatible_with(tensor.shape) for tensor, spec in pairs)
    return tensors if fits else None


def _probe(specs: Any) -> Any:
    """Return inputs like `specs`: equal parts of each scale in which inputs are wont to come."""
    random = np.random.default_rng(0)

    def probe(spec: tf.TensorSpec) -> tf.Tensor:
        # An open dimension is given a size that survives some pooling.
        shape = [_ROWS_OF_A_DRAW, *(size or 32 for size in spec.shape[1:])]
        if spec.dtype == tf.uint8:
            draws = [random.integers(0, 256, shape) for _ in _DRAWS]
        elif spec.dtype.is_floating:
            draws = [draw(random, shape) for draw in _DRAWS]
        elif spec.dtype.is_integer or spec.dtype.is_bool:
            draws = [random.integers(0, 2, shape) for _ in _DRAWS]  # any table has entries 0 and 1
        else:
            raise NotFreezableError(f"inputs of dtype {spec.dtype.name} cannot be made up")
        return tf.cast(np.concatenate(draws), spec.dtype)

    return keras.tree.map_structure(probe, specs)
