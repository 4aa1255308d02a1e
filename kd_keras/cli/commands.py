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
    verify,
    views,
)
from kd_keras.cli.job import Command

COMMANDS: dict[str, Command] = {
    "demo": demo.COMMAND,
    "distill": distill.COMMAND,
    "losses": losses.COMMAND,
    "policies": policies.COMMAND,
    "predict": predict.COMMAND,
    "record": record.COMMAND,
    "study": study.COMMAND,
    "views": views.COMMAND,
    "export": export.COMMAND,
    "verify": verify.COMMAND,
    "benchmark": benchmark.COMMAND,
}
