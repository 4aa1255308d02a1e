"""Training without a teacher, in every other respect as the Distiller trains."""

from __future__ import annotations

from typing import Any

import keras

from kd_keras.training import persistence
from kd_keras.training.inputs import check_inputs
from kd_keras.training.model import TrainingModel
from kd_keras.training.network import Network
from kd_keras.training.parts import Parts
from kd_keras.training.validation import refuse_preprocessor
from kd_keras.training.weighing import Weighing


@keras.saving.register_keras_serializable(package="kd_keras")
class Supervised(TrainingModel):
    """Train a network on augmented views and their labels, with no teacher.

    The fair counterpart of `kd_keras.Distiller`: the same step without a teacher. A student trained
    alone with the same seed, optimizer and augmentation sees the very views that a distilled
    student sees, step by step, and minimises the same loss on the labels, with the same checks.
    Teachers are trained with it too. A loss that is not finite stops training with the weights and
    statistics of the last good step in place.

    Args:
        network: The `keras.Model` to train. Afterwards use, evaluate and save it by itself.
        augmentation: As the Distiller takes it; `None` for none.
        name: Name of the model.
        student_inputs: What the network takes of x, as the Distiller takes it.
        spatial: Which labels move with the pixels, as the Distiller takes it.
        **kwargs: Passed on to `keras.Model`.

    Raises:
        ValueError: If the augmentation needs a teacher (`Pick`, `Feedback`).

    Example:

    >>> import keras, kd_keras, numpy as np
    >>> network = keras.Sequential([keras.Input((8,)), keras.layers.Dense(3)])
    >>> model = kd_keras.Supervised(network)
    >>> model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    >>> history = model.fit(np.ones((4, 8)), np.array([0, 1, 2, 0]), verbose=0)
    >>> sorted(history.history)
    ['loss']
    """

    def __init__(
        self,
        network: keras.Model,
        augmentation: Any = None,
        name: str = "supervised",
        *,
        student_inputs: Any = None,
        spatial: Any = None,
        **kwargs: Any,
    ):
        inputs = check_inputs("student_inputs", student_inputs)
        super().__init__(augmentation, inputs, name, spatial, **kwargs)
        if not isinstance(network, keras.Model):
            raise ValueError(f"`network` must be a keras.Model. Received: {type(network)}.")
        refuse_preprocessor("student", network, inputs, "student_inputs")
        normalised = self._augmentation.normalised
        if normalised is not None and normalised.needs_teacher:
            raise ValueError(
                "`augmentation` asks a teacher, and here is none. Received: augmentation="
                f"{augmentation!r}. Use it with `kd_keras.Distiller`, or pass its policy here."
            )
        self.network = network
        own_call = None if type(self).call is TrainingModel.call else self.call
        self._parts = Parts(Network(network, (), own_call), Weighing((), 1.0, "sum", None))
        self.built = network.built

    @property
    def student(self) -> Any:
        """The network, by the name that it has in the step."""
        return self.network

    def refuse_compilation(self, loss: Any, metrics: Any, weighted_metrics: Any) -> None:
        if loss is None:
            raise ValueError(
                "'loss' cannot be `None`: without a teacher the labels alone teach. Pass the "
                "network's loss."
            )

    def get_config(self) -> dict[str, Any]:
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "network": serialize(self.network),
            "augmentation": persistence.augmentation_config(self.augmentation),
            "student_inputs": serialize(self.student_inputs),
            "spatial": self.spatial,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        config = persistence.with_augmentation(config)
        for name in ("network", "student_inputs"):
            config[name] = keras.saving.deserialize_keras_object(config[name])
        return cls(**config)
