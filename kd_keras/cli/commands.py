"""The commands of `kd-keras`, one file each. Imports no TensorFlow.

A new command is a file with a `COMMAND` and a line here.
"""

from kd_keras.cli import (
    benchmark,
    demo,
    distill,
    export,
    losses,
    policies,
    predict,
    record,
    study,
    teachers,
    verify,
    views,
)
from kd_keras.cli.job import Command

# In the order in which a model comes to need them.
COMMANDS: dict[str, Command] = {
    "distill": distill.COMMAND,
    "study": study.COMMAND,
    "teachers": teachers.COMMAND,
    "policies": policies.COMMAND,
    "losses": losses.COMMAND,
    "views": views.COMMAND,
    "record": record.COMMAND,
    "export": export.COMMAND,
    "verify": verify.COMMAND,
    "benchmark": benchmark.COMMAND,
    "predict": predict.COMMAND,
    "demo": demo.COMMAND,
}
