"""The command line `kd-keras`: one file for each command. Imports no TensorFlow."""

from kd_keras.cli.command_line import main

__all__ = ["main"]
