"""The comparison of a file with the student, by numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from kd_keras.export.verification import compare


class Stub:
    """Gives fixed outputs whatever the examples."""

    def __init__(self, **outputs):
        self.outputs = {name: np.asarray(value, "float32") for name, value in outputs.items()}

    def predict_all(self, examples, batch_size):
        return self.outputs


EXAMPLES = np.zeros((4, 1), "float32")
REFERENCE = np.array([[1, 0], [0, 1], [1, 0], [3, 2]], "float32")


def differences(output, exact=False, reference=REFERENCE):
    return compare(Stub(logits=output), {"logits": reference}, EXAMPLES, exact)[0]


def test_largest_mean_and_agreement():
    output = [[1, 0.5], [0, 1], [0, 1], [3, 2]]

    got = differences(output)

    assert (got.name, got.largest, got.mean, got.agreement) == ("logits", 1.0, 2.5 / 8, 0.75)


def test_an_output_of_one_class_has_no_agreement():
    assert differences(REFERENCE[:, :1], reference=REFERENCE[:, :1]).agreement is None


def test_an_exact_file_may_not_be_off_by_a_thousandth():
    assert differences(REFERENCE + 0.002, exact=True).largest == pytest.approx(0.002, rel=1e-3)
    with pytest.raises(ValueError, match=r"'logits' differs by 0.004.*largest value is 3"):
        differences(REFERENCE + 0.004, exact=True)


def test_nan_in_the_file_is_refused_under_every_preset():
    with pytest.raises(ValueError, match="does not calculate what `student` does"):
        differences(np.full((4, 2), np.nan))


def test_a_missing_or_misshapen_output_is_refused():
    with pytest.raises(ValueError, match=r"'logits' of shape \(4, 2\). Received: shape \(4, 3\)"):
        differences(np.zeros((4, 3)))
    with pytest.raises(ValueError, match="Received: shape None"):
        compare(Stub(other=REFERENCE), {"logits": REFERENCE}, EXAMPLES, False)
