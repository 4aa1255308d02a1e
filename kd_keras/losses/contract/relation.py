"""What the losses between relations share: features as vectors, compared among the examples."""

from __future__ import annotations

from typing import Any

from keras import ops

from kd_keras.losses.contract.feature import FeatureLoss


class RelationLoss(FeatureLoss):
    """Base of the losses that compare how the examples of a batch lie to each other.

    Features of any rank are flattened to one vector for each example, and teacher and student may
    have vectors of different widths. The value of a pair (or triplet) of examples is attributed to
    its first example, so that the mean over the examples is the loss of the batch. `sample_weight`
    therefore weighs the pairs that begin with an example; it stays a partner of the others. Under
    `tf.distribute` the examples are those of a replica.

    A subclass writes `relation_values` of `(batch, width)` vectors.
    """

    matches = "relations"

    def relation_values(self, teacher_vectors: Any, student_vectors: Any) -> Any:
        """Return the loss of the pairs that begin with each example, `(batch,)`."""
        raise NotImplementedError(
            f"{type(self).__name__} must define `relation_values(teacher_vectors, "
            "student_vectors)`."
        )

    def feature_values(self, teacher_features: Any, student_features: Any, valid: Any) -> Any:
        return self.relation_values(_as_vectors(teacher_features), _as_vectors(student_features))


def _as_vectors(features: Any) -> Any:
    width = 1
    for size in features.shape[1:]:
        width = -1 if size is None or width == -1 else width * size
    return ops.reshape(features, (ops.shape(features)[0], width))
