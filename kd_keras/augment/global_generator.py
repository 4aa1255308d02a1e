"""What keras-cv layers need of TensorFlow before they can be made."""

from __future__ import annotations

import tensorflow as tf


def ensure_global_generator() -> None:
    """Make TensorFlow's global generator where there is none yet.

    Every random layer of keras-cv holds on to it, and with
    `tf.config.experimental.enable_op_determinism()` TensorFlow refuses to make it by itself. In a
    policy nothing is drawn from it: the numbers come from (seed, step, position).
    """
    try:
        tf.random.get_global_generator()
    except RuntimeError:
        tf.random.set_global_generator(tf.random.Generator.from_seed(0))
