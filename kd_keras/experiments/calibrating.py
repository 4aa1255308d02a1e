"""Temperature scaling of a teacher on the validation split, before it teaches."""

from __future__ import annotations

from typing import Any

import keras
from rich.console import Console

from kd_keras import data, evaluate
from kd_keras.report.saying import say
from kd_keras.teachers import Frozen


def calibrated(network: keras.Model, title: str, splits: data.Splits, console: Console) -> Frozen:
    """Return a teacher whose probabilities fit the labels of the validation split best.

    Args:
        network: A trained network.
        title: What a person knows it by.
        splits: The data.
        console: Where the temperature is said.
    """
    logits, labels = evaluate.predict_logits(network, splits.validation)
    # Rounded, so that a run that goes on teaches with the same one.
    temperature = round(evaluate.fit_temperature(logits, labels), 3)
    before, after = (evaluate.cross_entropy(z, labels) for z in (logits, logits / temperature))
    say(
        console,
        f"{title}: calibrated by the temperature {temperature:g}, NLL of the validation split "
        f"{before:.3f} before and {after:.3f} after",
    )
    return Frozen(network, temperature=temperature)


def refuse_dense(info: Any) -> None:
    """Raise where an example has more than one label: its places are too many to be held.

    Raises:
        ValueError: If the data have a label for each place.
    """
    if info.label_shape:
        raise ValueError(
            "`calibrate_teacher` is for data with one label an example. Received: "
            f"calibrate_teacher=True with {info.title!r}, whose labels have the shape "
            f"{info.label_shape}. Leave it out, and pass "
            "kd_keras.teachers.Frozen(teacher, temperature=...) in Python."
        )
