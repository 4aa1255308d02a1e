"""Recordings, each of one class: a word, a command."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import numpy as np

from kd_keras import models
from kd_keras.arguments import check_choice
from kd_keras.augment.contract import Augmentation
from kd_keras.augment.recordings import NAMED
from kd_keras.data.splits import DataInfo
from kd_keras.evaluate import Trials
from kd_keras.evaluate.sound import noisy, reverberant
from kd_keras.tasks.task import Task

_DECIBELS = (20, 10, 0)


class AudioTask(Task):
    """Classify recordings: float32 samples in -1..1, `(batch, samples)`, a class of each."""

    name = "audio"
    noun = "recording"
    policies = tuple(NAMED)

    def network(
        self, name: str, info: DataInfo, *, weight_decay: float = 0.0, seed: int | None = None
    ) -> keras.Model:
        return models.sound_from_name(
            name,
            samples=info.input_shape[0],
            num_classes=info.num_classes,
            sample_rate=info.details["sample_rate"],
            weight_decay=weight_decay,
            seed=seed,
        )

    def policy(self, name: str, seed: int) -> Augmentation:
        check_choice("policy", name, self.policies)
        return NAMED[name](seed)

    def trials(self, seed: int = 0) -> Trials:
        """Return noise at 20, 10 and 0 dB, and a room."""
        changes: dict[str, Callable[[Any], np.ndarray]] = {
            f"noise, SNR {snr} dB": partial(noisy, snr=snr, seed=seed) for snr in _DECIBELS
        }
        changes["reverberation"] = partial(reverberant, seed=seed)
        return Trials((), (), (), (), attacks=False, perturbations=changes)

    def export_arguments(self, info: DataInfo) -> dict[str, Any]:
        return {
            **super().export_arguments(info),
            "input_range": (-1.0, 1.0),
            "sample_rate": info.details["sample_rate"],
        }
