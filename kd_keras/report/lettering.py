"""Text of others in figures: no formulas, and a font for every script that the machine has."""

from __future__ import annotations

import functools
import re
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

_Drawn = TypeVar("_Drawn")
_MISSING = re.compile(r"Glyph (\d+) .*missing|Matplotlib currently does not support .* natively")
# Has a box for every character and no letter.
_NO_LETTERS = "lastresort"


def lettered(draw: Callable[[], _Drawn], **settings: Any) -> tuple[_Drawn, str]:
    """Return what `draw` draws, and the characters in it that no installed font has.

    A "$" begins no formula. What matplotlib's font does not have is drawn again with the fonts of
    the machine that have it; instead of a warning for each letter there is none.

    Args:
        draw: Makes a figure, all of it, and returns it as a file's content.
        settings: Settings of matplotlib while it draws.
    """
    from matplotlib import rcParams

    plain = {"text.parse_math": False, "text.usetex": False, **settings}
    drawn, missing, others = _drawn(draw, plain)
    fonts = _fonts_with(frozenset(missing))
    if fonts:
        families = [*rcParams["font.family"], *fonts]
        drawn, missing, others = _drawn(draw, {**plain, "font.family": families})
    for other in others:
        warnings.warn_explicit(other.message, other.category, other.filename, other.lineno)
    return drawn, "".join(map(chr, sorted(missing)))


def _drawn(
    draw: Callable[[], _Drawn], settings: Any
) -> tuple[_Drawn, set[int], list[warnings.WarningMessage]]:
    from matplotlib import rc_context

    with rc_context(settings), warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        drawn = draw()
    found = [_MISSING.match(str(warning.message)) for warning in said]
    missing = {int(match[1]) for match in found if match and match[1]}
    others = [warning for warning, match in zip(said, found, strict=True) if not match]
    return drawn, missing, others


@functools.cache
def _fonts_with(characters: frozenset[int]) -> tuple[str, ...]:
    """Return the families of installed fonts that have the characters, as few as will do."""
    if not characters:
        return ()
    import matplotlib
    from matplotlib import font_manager

    has: dict[str, frozenset[int]] = {}
    # matplotlib's own fonts beside the first are for formulas, with letters in other places.
    own = matplotlib.get_data_path()
    for font in sorted(font_manager.fontManager.ttflist, key=lambda font: font.weight != 400):
        is_other = font.fname.startswith(own) or _NO_LETTERS in font.name.replace(" ", "").lower()
        if is_other or font.style != "normal" or font.name in has:
            continue
        try:
            has[font.name] = characters & font_manager.get_font(font.fname).get_charmap().keys()
        except (OSError, RuntimeError):
            continue  # a font that matplotlib cannot draw, such as one of coloured pictures
    chosen: list[str] = []
    left = characters
    while any(left & own_characters for own_characters in has.values()):
        chosen.append(max(has, key=lambda name: len(left & has[name])))
        left -= has[chosen[-1]]
    return tuple(chosen)
