"""The commands of `kd-keras`, a file each. Importing them imports no TensorFlow.

A command is a frozen dataclass of options with `run(command, console)`, and a function that the
command line is made from.
"""

from kd_keras.commands import distill, study

# By the word that follows `kd-keras`.
NAMED = {"distill": distill.command, "study": study.command}

__all__ = ["NAMED"]
