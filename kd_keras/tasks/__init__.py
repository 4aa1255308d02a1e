"""What is learnt: what follows from the kind of the data, and from nothing else.

`task_of(splits.info)` says how networks and policies of the data are called, what loss and metrics
they are trained with, what their robustness is measured by and how their files are exported.
"""

from kd_keras.data.splits import DataInfo
from kd_keras.tasks.audio import AudioTask
from kd_keras.tasks.image import ImageTask
from kd_keras.tasks.segmentation import SegmentationTask
from kd_keras.tasks.task import Task
from kd_keras.tasks.text import TextTask

_TASKS: tuple[type[Task], ...] = (ImageTask, SegmentationTask, TextTask, AudioTask)


def task_of(info: DataInfo) -> Task:
    """Return what is learnt from the data that `info` describes.

    Example:

    >>> import kd_keras
    >>> info = kd_keras.data.load("digits").info
    >>> kd_keras.tasks.task_of(info).policies[:2]
    ('none', 'digits')
    """
    return next(task() for task in _TASKS if task.name == info.task)


__all__ = ["AudioTask", "ImageTask", "SegmentationTask", "Task", "TextTask", "task_of"]
