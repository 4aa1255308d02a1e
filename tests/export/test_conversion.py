"""Converter errors are read for the ops that they complain of."""

from __future__ import annotations

from kd_keras.export.conversion import unsupported_operations


def test_ops_are_found_in_the_converters_summary():
    message = "failed while converting: 'main':\nTF Select ops: Sinh, MatrixDeterminant\nDetails:\n"

    assert unsupported_operations(message) == ("MatrixDeterminant", "Sinh")


def test_ops_are_found_in_single_complaints_and_named_once():
    message = (
        "error: 'tf.Sinh' op is neither a custom op nor a flex op\n"
        "error: 'tf.Sinh' op is neither a custom op nor a flex op\nCustom ops: MyOp\n"
    )

    assert unsupported_operations(message) == ("MyOp", "Sinh")


def test_another_error_names_no_op():
    assert unsupported_operations("calibration failed: out of memory") == ()
