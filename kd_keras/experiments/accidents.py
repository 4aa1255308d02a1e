"""What stops a run from outside: no room on the disk, no memory. Says how it goes on."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator, Sequence
from pathlib import Path

from kd_keras import memory_errors
from kd_keras.recipes.recipe import Recipe
from kd_keras.whole_file import UnwritableError, reason_not_written


@contextlib.contextmanager
def going_on(
    recipe: Recipe, again: str, input_shape: Sequence[int] | None = None
) -> Iterator[None]:
    """Say what of a recipe was too much, and that what is done is kept.

    Args:
        recipe: What runs in the block.
        again: What goes on after the last complete epoch.
        input_shape: Of the examples, as (height, width, channels), where it is known.

    Raises:
        UnwritableError: If a file of the run cannot be written.
        OutOfMemoryError: If the recipe asks for more memory than there is.
    """
    size = recipe.image_size or "their own size"
    noun = "images" if input_shape is None or len(input_shape) == 3 else "examples"
    examples = f"{noun} of {'x'.join(map(str, input_shape)) if input_shape else size}"
    lower = (
        f"In a recipe: a lower `batch_size` than {recipe.batch_size}, or a smaller `image_size`, "
        f"with another --output. Where there is more memory, {again} goes on."
    )
    try:
        with memory_errors.told(f"batches of {recipe.batch_size} {examples}", lower):
            yield
    except OSError as error:
        # A checkpoint's is made from one of `whole_file`, and says what it keeps.
        ours = isinstance(error, UnwritableError) or isinstance(error.__cause__, UnwritableError)
        if not ours and reason_not_written(error) is None:
            raise
        goes_on = f"Then {again} goes on after the last complete epoch."
        if error.errno == errno.ENOENT:
            goes_on = f"With the folder as it was {again} goes on; without it, it begins anew."
        text = f"{str(error).rstrip('.')}. {goes_on}"
        raise UnwritableError(text, Path(error.filename or ""), error.errno) from error
