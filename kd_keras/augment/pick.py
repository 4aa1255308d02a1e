"""The views that the teacher is least sure of, out of a larger pool."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from kd_keras.arguments import check_integer
from kd_keras.augment.contract import Adaptive, Augmentation, TeacherGuided
from kd_keras.augment.rows import gather_global, local_rows
from kd_keras.training.batch import ASKED, Batch


@keras.saving.register_keras_serializable(package="kd_keras")
class Pick(TeacherGuided):
    """Draw several views of every example and keep those on which the teacher's entropy is highest.

    ```
    score(view) = - sum_c p_c log p_c,   p = softmax(teacher(view))
    ```

    Of `pool` times N views of a batch of N, the N with the highest scores are kept, whichever
    examples they come from: an example may be kept twice and another one not at all. With
    `augment.cutmix()` this is CutMixPick. The teacher sees `pool` times N views for it, and the
    Distiller uses what it said of the kept ones, so that a step costs `pool` teacher forwards and
    one student forward (one teacher forward more where a loss taps the teacher's layers). Views are
    picked from the global batch, on several replicas as on one.

    Args:
        policy: What draws the views: a seeded augmentation of ours.
        pool: Views of each example to choose from, at least 2.
        from_logits: Whether the function that `augment_with` gets returns logits; otherwise
            probabilities. A Distiller gives logits, whatever its teacher ends in.

    Raises:
        TypeError: If `policy` is no augmentation of ours.
        ValueError: If `pool` is out of range, or the policy asks the teacher itself.

    Reference: Wang et al., "What Makes a 'Good' Data Augmentation in Knowledge Distillation - A
    Statistical Perspective", NeurIPS 2022, arXiv:2012.02909.

    Example:

    >>> import keras, kd_keras, numpy as np
    >>> teacher, student = (
    ...     keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(),
    ...                       keras.layers.Dense(3)]) for _ in range(2))
    >>> pick = kd_keras.augment.Pick(kd_keras.augment.cutmix(seed=1), pool=2)
    >>> distiller = kd_keras.Distiller(
    ...     teacher, student, kd_keras.losses.KLDivergence(4.0), augmentation=pick)
    >>> distiller.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    >>> images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 1)).astype("uint8")
    >>> history = distiller.fit(images, np.array([0, 1, 2, 0]), verbose=0)
    """

    minds_annotations = True

    def __init__(self, policy: Augmentation, pool: int = 2, from_logits: bool = True):
        if not isinstance(policy, Augmentation):
            raise TypeError(
                "`policy` must be a seeded augmentation of kd_keras, such as "
                f"kd_keras.augment.cutmix(). Received: policy={policy!r} of type "
                f"{type(policy).__name__}. Put layers into kd_keras.augment.Policy([...])."
            )
        if isinstance(policy, (TeacherGuided, Adaptive)):
            raise ValueError(
                "`policy` must draw views by its seed alone; this one follows the teacher itself. "
                f"Received: policy={policy!r}."
            )
        self.policy = policy
        remedy = "To keep every view pass the policy itself."
        self.pool = check_integer("pool", pool, 2, remedy=remedy)
        self.from_logits = bool(from_logits)

    def augment_with(self, views: Batch, step: Any, teacher: Callable[[Any], Any]) -> Batch:
        rows = local_rows(keras.tree.flatten(views.x)[0])
        step = tf.cast(step, tf.int64)
        drawn = [self.policy.augment(views, step * self.pool + k) for k in range(self.pool)]
        drawn = [view.with_extras(**{ASKED: teacher(view.x)}) for view in drawn]
        from_logits = getattr(teacher, "returns_logits", self.from_logits)
        scores = tf.concat(
            [gather_global(entropy(view.extras[ASKED], from_logits)) for view in drawn], axis=0
        )
        picked = tf.math.top_k(scores, k=rows.total).indices
        # In the order of the pool, so that nothing depends on tiny differences between scores; and
        # of the whole batch's picks, this replica's part.
        mine = tf.gather(tf.sort(picked), rows.index)

        def pick(*leaves: Any) -> Any:
            if leaves[0] is None:
                return None
            pool = tf.concat([gather_global(leaf) for leaf in leaves], axis=0)
            return tf.ensure_shape(tf.gather(pool, mine), tf.convert_to_tensor(leaves[0]).shape)

        # What is said of the labels is no part of the pool.
        picked_views = keras.tree.map_structure(pick, *(v._replace(spatial=None) for v in drawn))
        return picked_views._replace(spatial=views.spatial)

    def get_config(self) -> dict[str, Any]:
        return {
            "policy": keras.saving.serialize_keras_object(self.policy),
            "pool": self.pool,
            "from_logits": self.from_logits,
        }

    def __repr__(self) -> str:
        return f"Pick({self.policy!r}, pool={self.pool})"


def entropy(outputs: Any, from_logits: bool = True) -> tf.Tensor:
    """Return the entropy of each example's prediction in nats, `(batch,)` float32.

    Args:
        outputs: `(batch, ..., classes)`, or a structure of such; entropies of dense outputs are
            averaged over positions, and those of several outputs added.
        from_logits: Whether they are logits; otherwise probabilities.
    """
    total = None
    for leaf in keras.tree.flatten(outputs):
        values = tf.cast(leaf, tf.float32)
        logs = tf.nn.log_softmax(values) if from_logits else tf.math.log(values + 1e-12)
        each = -tf.reduce_sum(tf.exp(logs) * logs, axis=-1)
        if len(each.shape) > 1:
            each = tf.reduce_mean(each, axis=list(range(1, len(each.shape))))
        total = each if total is None else total + each
    return total
