"""Attacks that look for a nearby image which the model gets wrong: FGSM and PGD.

Both are functions of (images, labels) once the model is given, as `predict_logits` takes them:

```python
from functools import partial
from kd_keras import evaluate

attack = partial(evaluate.pgd, student)
logits, labels = evaluate.predict_logits(student, digits.test, change=attack)
evaluate.accuracy(logits, labels)
```

TensorFlow is imported when it is needed: a saved report is read and shown without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kd_keras.arguments import check_integer, check_number, check_range

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

# 8/255 of a range of 255, the usual size on CIFAR-10.
_EPSILON = 8.0
_PIXELS = (0.0, 255.0)


def fgsm(
    model: keras.Model,
    images: Any,
    labels: Any,
    epsilon: float = _EPSILON,
    value_range: tuple[float, float] = _PIXELS,
) -> tf.Tensor:
    """Return images moved one step of the fast gradient sign method, within an L-infinity ball.

    ```
    adversarial = clip(images + epsilon * sign(d cross_entropy / d images))
    ```

    Args:
        model: A Keras model from images to logits `(batch, classes)`; it is called with
            `training=False`, so nothing of it moves.
        images: `(batch, height, width, channels)`, numbers in `value_range`.
        labels: Class ids `(batch,)`.
        epsilon: The largest change of a pixel, > 0, in the unit of the images: 8 of 255 by default.
        value_range: `(low, high)` that the images stay in.

    Returns:
        float32 images of the same shape.

    Raises:
        ValueError: If an argument is out of its range.

    Example:

    >>> import keras, numpy as np
    >>> from kd_keras.evaluate import fgsm
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, use_bias=False)])
    >>> model.set_weights([np.array([[0.01, -0.01], [0.0, 0.0]])])
    >>> fgsm(model, np.array([[100.0, 100.0]]), [0], epsilon=8.0).numpy()
    array([[ 92., 100.]], dtype=float32)

    Reference: Goodfellow, Shlens, Szegedy, "Explaining and Harnessing Adversarial Examples", ICLR
    2015, arXiv:1412.6572.
    """
    return pgd(model, images, labels, epsilon, epsilon, 1, None, value_range)


def pgd(
    model: keras.Model,
    images: Any,
    labels: Any,
    epsilon: float = _EPSILON,
    step_size: float | None = None,
    steps: int = 10,
    seed: int | None = 0,
    value_range: tuple[float, float] = _PIXELS,
) -> tf.Tensor:
    """Return images moved by projected gradient descent, within an L-infinity ball.

    ```
    x_0 = clip(images + uniform(-epsilon, epsilon))
    x_k+1 = clip(project(x_k + step_size * sign(d cross_entropy / d x_k)))
    ```

    where `project` keeps each pixel within epsilon of where it was.

    Args:
        model: As for `fgsm`.
        images: As for `fgsm`.
        labels: Class ids `(batch,)`.
        epsilon: The largest change of a pixel, > 0, in the unit of the images.
        step_size: The change of a pixel in one step; a quarter of epsilon by default.
        steps: Number of steps, >= 1.
        seed: Seed of the random start; None starts from the images themselves.
        value_range: `(low, high)` that the images stay in.

    Returns:
        float32 images of the same shape.

    Raises:
        ValueError: If an argument is out of its range.

    Example:

    >>> import keras, numpy as np
    >>> from kd_keras.evaluate import pgd
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, use_bias=False)])
    >>> model.set_weights([np.array([[0.01, -0.01], [0.0, 0.0]])])
    >>> pgd(model, np.array([[100.0, 100.0]]), [0], seed=None).numpy()
    array([[ 92., 100.]], dtype=float32)

    Reference: Madry et al., "Towards Deep Learning Models Resistant to Adversarial Attacks", ICLR
    2018, arXiv:1706.06083.
    """
    import tensorflow as tf

    step_size = epsilon / 4 if step_size is None else step_size
    _check(epsilon, step_size, steps, value_range)
    low, high = value_range
    clean = tf.cast(images, tf.float32)
    labels = tf.reshape(tf.cast(labels, tf.int64), [-1])
    least, most = tf.maximum(clean - epsilon, low), tf.minimum(clean + epsilon, high)
    moved = clean
    if seed is not None:
        # Two words of seed: TensorFlow's stateless generators depend on nothing else.
        start = tf.random.stateless_uniform(tf.shape(clean), [seed, 0], -epsilon, epsilon)
        moved = tf.clip_by_value(clean + start, least, most)

    def step(done: tf.Tensor, moved: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        direction = tf.sign(_gradient(model, moved, labels))
        return done + 1, tf.clip_by_value(moved + step_size * direction, least, most)

    # A loop of the graph: unrolled, a network of some depth takes longer to trace than to attack.
    return tf.while_loop(lambda done, _: done < steps, step, (0, moved))[1]


def _gradient(model: keras.Model, images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(images)
        logits = tf.cast(model(images, training=False), tf.float32)
        # The sum and not the mean: an image's gradient does not depend on the others of its batch.
        loss = tf.reduce_sum(
            tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
        )
    return tape.gradient(loss, images)


def _check(epsilon: Any, step_size: Any, steps: Any, value_range: Any) -> None:
    low, high = check_range("value_range", value_range)
    for name, value in (("epsilon", epsilon), ("step_size", step_size)):
        check_number(name, value, above=0, remedy="It is in the unit of the images.")
    check_integer("steps", steps, 1)
    if epsilon > high - low:
        raise ValueError(
            f"`epsilon` is in the unit of the images, whose range is {value_range!r}. Received: "
            f"epsilon={epsilon!r}"
        )
