"""What a file of a preset needs to run, where the converter does not know it."""

import pytest

from kd_keras.export.presets import PRESETS, minimum_runtime


@pytest.mark.parametrize(
    ("quantization", "noted", "expected"),
    [
        ("int8", "1.14.0", "1.14.0"),
        ("none", "1.11.0", "1.11.0"),
        # Its operators have the numbers of their int8 forms: kernels for int16 came in 2.3 to 2.5.
        ("int16x8", "1.14.0", "2.5.0"),
        # To unpack weights with a scale for each channel came in 2.7.
        ("weight_only", "1.6.0", "2.7.0"),
        # Versions are numbers, not words.
        ("weight_only", "2.17.0", "2.17.0"),
        ("int16x8", None, None),
    ],
)
def test_the_later_of_file_and_kernels_counts(quantization, noted, expected):
    assert minimum_runtime(noted, PRESETS[quantization]) == expected
