"""The commands of `kd-keras`, one file each. Imports no TensorFlow.

A new command is a file with a `COMMAND` and a line here.
"""

from kd_keras.commands import demo, distill, policies, predict, study, views
from kd_keras.commands.job import Command, Job

COMMANDS: dict[str, Command] = {
    "demo": demo.COMMAND,
    "distill": distill.COMMAND,
    "policies": policies.COMMAND,
    "predict": predict.COMMAND,
    "study": study.COMMAND,
    "views": views.COMMAND,
}

__all__ = ["COMMANDS", "Command", "Job"]
