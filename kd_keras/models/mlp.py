"""The shallow network: no convolution, a floor for what a student can be."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from kd_keras.arguments import check_integer
from kd_keras.models.layers import Kernels, check_input_shape, image_input


def mlp(
    input_shape: Sequence[int] = (28, 28, 1),
    num_classes: int = 10,
    *,
    hidden: Sequence[int] = (500,),
    weight_decay: float = 0.0,
    seed: int | None = None,
    name: str = "mlp",
) -> keras.Model:
    """Build a multilayer perceptron; by default the 784-500-10 of MNIST studies.

    The image is flattened and passed through ReLU layers. The model takes raw pixels and returns
    logits. Taps, by layer name: `hidden1`, `hidden2`, ... for all hidden layers but the last;
    `features` for the last; `logits`.

    Args:
        input_shape: (height, width, channels) of the images, without the batch axis.
        num_classes: Number of classes, the width of the logits.
        hidden: Widths of the hidden layers, first to last, each up to 65,536; 1 to 64 of them.
        weight_decay: Decay of the kernels, in [0, 1), as a loss term whose gradient is
            `weight_decay * kernel`.
        seed: Makes the initial weights repeatable. None draws new ones.
        name: Name of the model.

    Returns:
        A functional `keras.Model` from `image`, (batch, height, width, channels) in 0..255, float
        or uint8, to logits of shape (batch, num_classes).

    Raises:
        ValueError: If an argument is out of its range.
        TypeError: If `seed` is not an integer.

    Example:

    ```python
    import kd_keras

    student = kd_keras.models.mlp((28, 28, 1), 10, seed=1)
    student.count_params()  # 784 * 500 + 500 + 500 * 10 + 10 = 397,510
    ```

    Reference:
        A shallow student under a deep teacher is the setting of Ba and Caruana, "Do Deep Nets
        Really Need to be Deep?", NeurIPS 2014, arXiv:1312.6184.
    """
    shape = check_input_shape(input_shape)
    num_classes = check_integer("num_classes", num_classes, 2, 2**20)
    if not isinstance(hidden, Sequence) or isinstance(hidden, str) or not hidden:
        raise ValueError(
            "`hidden` must be a sequence with the width of each hidden layer, such as (500,). "
            f"Received: hidden={hidden!r}."
        )
    check_integer("len(hidden)", len(hidden), 1, 64)
    hidden = [check_integer("hidden", units, 1, 2**16) for units in hidden]
    kernels = Kernels.checked(weight_decay, seed)

    image, x = image_input(shape)
    x = keras.layers.Flatten(name="flatten")(x)
    for index, units in enumerate(hidden, start=1):
        layer_name = "features" if index == len(hidden) else f"hidden{index}"
        x = kernels.of(keras.layers.Dense, units, activation="relu", name=layer_name)(x)
    return keras.Model(image, kernels.logits(x, num_classes), name=name)
