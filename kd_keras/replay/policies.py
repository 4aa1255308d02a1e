"""Which augmentations can be replayed, and whether two of them draw the same views."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kd_keras.archives import arrays_in
from kd_keras.arguments import check_range
from kd_keras.augment.adapter import Chain, as_augmentation, augment_batch
from kd_keras.augment.contract import Augmentation
from kd_keras.folders import file_inside
from kd_keras.replay.manifest import differences
from kd_keras.training.batch import Batch
from kd_keras.whole_file import written_beside

PROBE = "probe.npz"
_PROBE_VIEWS = 8
_PROBE_STEPS = (0, 1)
# Mean difference over a view, as a share of the range: rounding of other devices stays far below,
# and noise of another seed far above.
_SAME_VIEW = 0.003


def replayable(augmentation: Any) -> Chain | None:
    """Return an augmentation in the form of `as_augmentation`, or raise.

    Args:
        augmentation: As `kd_keras.Distiller` takes it.

    Raises:
        ValueError: If its views are no function of (seed, step, position) and the images alone.
    """
    chain = as_augmentation(augmentation)
    if chain is None:
        return None
    if chain.needs_teacher:
        raise ValueError(
            "`augmentation` must draw its views by its seed alone to be replayed: Pick asks the "
            "live teacher which views to keep, and Feedback follows the gap of one student, so "
            "that another student would see other views. Received: augmentation="
            f"{augmentation!r}. Pass the policy inside, or distil with the live teacher."
        )
    for part in chain.parts:
        if not isinstance(part, Augmentation):
            raise ValueError(
                "`augmentation` must be seeded to be replayed: a kd_keras.augment.Policy, or "
                f"another augmentation of ours. Received: {part!r}, whose views nothing tells how "
                "to draw again. Put the layer into kd_keras.augment.Policy([...], seed=...)."
            )
    return chain


def configs(chain: Chain | None) -> list[Any]:
    """Return what tells an augmentation from others, as JSON knows it.

    Without the names of layers, which Keras numbers, and without the seeds of layers, which a
    policy overrules.

    Raises:
        ValueError: If a part has no config.
    """
    parts = [] if chain is None else chain.parts
    try:
        return [_plain(keras.saving.serialize_keras_object(part), 0) for part in parts]
    except Exception as error:  # whatever a user's own layer may raise
        raise ValueError(
            f"`augmentation` must be known by its config to be replayed: {error} Received: "
            f"{chain!r}. Register it with `keras.saving.register_keras_serializable()` and give it "
            "a `get_config`."
        ) from error


def from_configs(recorded: Sequence[Any]) -> list[Any]:
    """Return the augmentations that `configs` described."""
    for module in ("policy", "layers"):
        importlib.import_module(f"kd_keras.augment.{module}")
    try:
        return [keras.saving.deserialize_keras_object(config) for config in recorded]
    except Exception as error:  # whatever a layer's own `from_config` may raise
        raise ValueError(
            f"The augmentation of a recording cannot be made again: {error} Import the module of "
            "your own layers first, or record anew."
        ) from error


def refuse_other_policy(recorded: Sequence[Any], augmentation: Any) -> None:
    """Raise `ValueError` unless an augmentation has the config that was recorded with."""
    here = configs(replayable(augmentation))
    there = list(recorded)
    if here == there:
        return
    names = [[part.get("class_name", "?") for part in parts] for parts in (there, here)]
    different = "; ".join(differences("augmentation", there, here))
    if names[0] != names[1]:
        different = f"it was {names[0] or 'none'} there and is {names[1] or 'none'} here"
    raise ValueError(
        f"`augmentation` must be the one that was recorded with: {different}. Received: "
        f"augmentation={augmentation!r}. Pass `augmentation=replay.augmentation`, where replay is "
        "the ReplayTeacher, or record with the other one."
    )


def write_probe(path: Path, chain: Chain | None, shape: Sequence[int], dtype: str) -> None:
    """Keep what an augmentation makes of a few synthetic images, to know it again by."""
    with written_beside(path / PROBE) as beside:
        arrays: dict[str, Any] = dict(_probe(chain, shape, dtype))
        np.savez_compressed(beside, **arrays)


def refuse_other_views(
    path: Path, chain: Chain | None, shape: Sequence[int], dtype: str, versions: str
) -> None:
    """Raise `ValueError` where an augmentation draws other views than when it was recorded.

    Its config may be the same and its code another: another version of keras-cv or TensorFlow, or
    a function of the user's own that changed.

    Args:
        path: Folder of the recording.
        chain: What `replayable` returned.
        shape: Of one image.
        dtype: Of the images.
        versions: How versions differ, for the message.
    """
    try:
        with arrays_in(file_inside(path, PROBE)) as arrays:
            there = {name: np.asarray(arrays[name], "float64") for name in arrays.files}
        low, high = check_range("range", there["range"].tolist())
    except Exception as error:  # zip and NumPy have many of their own
        raise ValueError(
            f"{str(path / PROBE)!r} cannot be read: {error}. Put back a whole copy, or record anew "
            "into another folder."
        ) from error
    here = _probe(chain, shape, dtype)
    for name, views in here.items():
        recorded = there.get(name)
        if recorded is None or recorded.shape != views.shape:
            worst = 1.0
        else:
            apart = np.abs(recorded - views.astype("float64")) / (high - low)
            worst = float(apart.reshape(len(apart), -1).mean(axis=1).max())
        if not worst <= _SAME_VIEW:  # as it is written, NaN is another view
            raise ValueError(
                "The policy draws other views here than those that were recorded, from the same "
                f"config: on synthetic images a view differs by {worst:.2g} of the range in the "
                f"mean, {_SAME_VIEW:g} is allowed. {versions} Use the versions that recorded, or "
                "record anew."
            )


def _probe(chain: Chain | None, shape: Sequence[int], dtype: str) -> dict[str, np.ndarray]:
    low, high = next(
        (
            part.value_range
            for part in ([] if chain is None else chain.parts)
            if hasattr(part, "value_range")
        ),
        (0, 255),
    )
    found = {"range": np.array([low, high], "float64")}
    if chain is None:
        return found
    unit = _noise((_PROBE_VIEWS, *shape))
    images = tf.cast(low + unit * (high - low), dtype)
    labels = tf.range(_PROBE_VIEWS)
    for step in _PROBE_STEPS:
        views = augment_batch(chain, Batch(images, labels), tf.constant(step, tf.int64))
        found[f"views{step}"] = np.asarray(tf.convert_to_tensor(views.x))
        if views.mix is not None:
            found[f"shares{step}"] = np.asarray(views.mix.lam) * (high - low)
    return found


def _noise(shape: tuple[int, ...]) -> np.ndarray:
    """Return values in [0, 1) of grain, which every change of place or colour shows."""
    count = int(np.prod(shape))
    grain = np.arange(count, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    grain = ((grain ^ (grain >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)) >> np.uint64(40)
    return (grain.astype("float64") / 2**24).reshape(shape)


def _plain(config: Any, depth: int) -> Any:
    if isinstance(config, dict):
        inner = config.get("config")
        if "class_name" in config and isinstance(inner, dict):
            left_out = {"name", "seed"} if depth else {"name"}
            if str(config["class_name"]).endswith("DTypePolicy"):
                left_out = set()
            kept = {key: value for key, value in inner.items() if key not in left_out}
            config = {**config, "config": kept}
            # A layer that was called knows what it was called on; one that was not, does not.
            config.pop("build_config", None)
            depth += 1
        return {key: _plain(value, depth) for key, value in config.items()}
    if isinstance(config, (list, tuple)):
        return [_plain(value, depth) for value in config]
    return config
