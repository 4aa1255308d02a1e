"""A policy that follows the student's trouble: transforms with a wide gap come more often."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from kd_keras.arguments import check_integer, check_number
from kd_keras.augment.contract import Adaptive
from kd_keras.augment.layers import GaussianNoise, SaltAndPepper
from kd_keras.augment.layers.choice import Choice
from kd_keras.augment.policies import standard_layers, transforms
from kd_keras.augment.policy import Policy
from kd_keras.training.batch import Batch


@keras.saving.register_keras_serializable(package="kd_keras")
class Feedback(Adaptive):
    """Send each image through one transform, more often where the student is far from the teacher.

    ```
    p_k = (1 - floor) * gap_k^rate / sum_j gap_j^rate + floor / K
    gap_k = running mean of KL(teacher || student), temperature 1, on the views of transform k
    ```

    It is a proportional controller, not a bandit: a batch shows every transform many times,
    whatever their probabilities, so there is nothing to explore, and the gap of each is simply
    measured. A power of the gap has no unit, so one rate suits every task. This is prioritised
    sampling (p proportional to error^rate) over transforms instead of examples; the floor keeps
    every transform in sight, since a gap that closed may open again. With `rate=0` all transforms
    stay equally likely: the control to compare with.

    Views depend on (seed, step, position) and on the gaps so far. Those are weights of the
    Distiller, saved and restored with it; a run that goes on has the views of an unbroken one. The
    probabilities are logged as `feedback_<transform>`.

    Args:
        changes: keras-cv layers or callables on images by name, `None` for no change; by
            default, a dozen changes of geometry, colour and noise and no change.
        before: Layers that every image passes first; by default those of the standard policy.
        seed: Any integer.
        value_range: `(low, high)` of the images. Transforms get images in 0..255 whatever it is.
        rate: How strongly probabilities follow the gaps, >= 0; 1 is in proportion.
        floor: Share of the views that is dealt out evenly, in `(0, 1]`.
        memory: Views over which the mean of a gap runs, at least 1.

    Raises:
        TypeError: If a change is neither callable nor `None`.
        ValueError: If an argument is out of its range.

    Reference: for the rule, Schaul et al., "Prioritized Experience Replay", ICLR 2016,
    arXiv:1511.05952.

    Example:

    >>> import tensorflow as tf
    >>> from kd_keras.augment import Feedback
    >>> feedback = Feedback(seed=1)
    >>> feedback(tf.zeros((2, 32, 32, 3), tf.uint8), step=0).shape
    TensorShape([2, 32, 32, 3])
    """

    minds_annotations = True

    def __init__(
        self,
        changes: Mapping[str, Any] | None = None,
        before: Any = None,
        seed: int = 0,
        value_range: tuple[float, float] = (0, 255),
        rate: float = 1.0,
        floor: float = 0.2,
        memory: int = 1000,
    ):
        chosen = _default_changes() if changes is None else dict(changes)
        if len(chosen) < 2 or not all(isinstance(name, str) and name for name in chosen):
            raise ValueError(
                f"`changes` must map at least two names to layers. Received: changes={chosen!r}."
            )
        for name, layer in chosen.items():
            if layer is not None and (isinstance(layer, type) or not callable(layer)):
                raise TypeError(
                    "`changes` must hold layers, callables on images, or None. Received: "
                    f"{name}={layer!r} of type {type(layer).__name__}."
                )
        remedy = "0 keeps all transforms equally likely."
        self.rate = float(check_number("rate", rate, low=0, remedy=remedy))
        self.floor = float(check_number("floor", floor, low=1e-3, high=1, remedy="Try 0.2."))
        self.memory = check_integer("memory", memory, 1, remedy="Try 1000.")
        self.names = tuple(chosen)
        self._layers = tuple(chosen.values())
        self._before = standard_layers() if before is None else list(before)
        self.state = _Gaps(len(chosen))
        self.policy = Policy(
            [*self._before, Choice(self._layers, self.probabilities)],
            seed=seed,
            value_range=value_range,
            name="feedback",
            layer_range=(0, 255),
        )

    def augment(self, views: Batch, step: Any) -> Batch:
        return self.policy.augment(views, step)

    def probabilities(self) -> tf.Tensor:
        gaps = tf.convert_to_tensor(self.state.gaps)
        # Exactly even where nothing is to follow, whatever the gaps.
        powers = tf.pow(tf.maximum(gaps, 1e-6), self.rate)
        shares = powers / tf.reduce_sum(powers)
        return (1.0 - self.floor) * shares + self.floor / len(self.names)

    def observe(self, choice: tf.Tensor, gaps: tf.Tensor) -> None:
        number = len(self.names)
        counts = tf.math.unsorted_segment_sum(tf.ones_like(gaps), choice, number)
        sums = tf.math.unsorted_segment_sum(gaps, choice, number)
        context = tf.distribute.get_replica_context()
        if context is not None and context.num_replicas_in_sync > 1:
            counts, sums = context.all_reduce(tf.distribute.ReduceOp.SUM, [counts, sums])
        old = tf.convert_to_tensor(self.state.gaps)
        seen = tf.convert_to_tensor(self.state.seen)
        # A plain mean of the first `memory` views, then one that forgets.
        share = tf.math.divide_no_nan(counts, tf.minimum(seen + counts, float(self.memory)))
        share = tf.minimum(share, 1.0)
        self.state.gaps.assign(old + share * (tf.math.divide_no_nan(sums, counts) - old))
        self.state.seen.assign(tf.minimum(seen + counts, float(self.memory)))

    def get_config(self) -> dict[str, Any]:
        serialize = keras.saving.serialize_keras_object
        return {
            "changes": serialize(dict(zip(self.names, self._layers, strict=True))),
            "before": serialize(self._before),
            "seed": self.policy.seed,
            "value_range": list(self.policy.value_range),
            "rate": self.rate,
            "floor": self.floor,
            "memory": self.memory,
        }

    def __repr__(self) -> str:
        return f"Feedback([{', '.join(self.names)}], rate={self.rate:g})"


class _Gaps(keras.layers.Layer):
    """The running mean of each transform's gap, and over how many views it runs."""

    def __init__(self, transforms: int):
        super().__init__(trainable=False, name="feedback", dtype="float32")
        options = {
            "shape": (transforms,),
            "trainable": False,
            "autocast": False,
            "aggregation": "only_first_replica",
        }
        # The same for all, so that training begins with an even policy.
        self.gaps = self.add_weight(name="gaps", initializer="ones", **options)
        self.seen = self.add_weight(name="seen", initializer="zeros", **options)
        self.built = True

    def call(self, inputs: Any) -> Any:
        return inputs


def _default_changes() -> dict[str, Any]:
    return {
        "none": None,
        **transforms(),
        "gaussian_noise": GaussianNoise((0.0, 0.1), dtype="float32"),
        "salt_and_pepper": SaltAndPepper((0.0, 0.05), dtype="float32"),
    }
