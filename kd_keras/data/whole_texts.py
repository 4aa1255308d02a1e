"""Which texts are a part of a longer text: they must not be on the other side of a split."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence


def whole_texts(texts: Sequence[Sequence[str]]) -> list[int]:
    """Return for each text the text that it is a part of, and for a whole one itself.

    SST-2, for one, has every phrase of a sentence beside the sentence. Cut at random, a validation
    split would ask for phrases whose sentences were trained on. Texts that are equal belong to the
    first of them; a part of several to the longest.

    Args:
        texts: The words of each text.

    Returns:
        An index into `texts` for each.

    Example:

    >>> from kd_keras.data.whole_texts import whole_texts
    >>> whole_texts([["fine"], ["a", "fine", "film"], ["fine", "film"], ["dull"]])
    [1, 1, 1, 3]
    """
    tuples = [tuple(words) for words in texts]
    # By how a text begins, how long those that begin so are: few pieces need to be looked at.
    lengths: dict[tuple[str, ...], set[int]] = defaultdict(set)
    for words in tuples:
        lengths[words[:2]].add(len(words))
    owner: dict[tuple[str, ...], int] = {}
    owners = list(range(len(tuples)))
    for index in sorted(owners, key=lambda index: -len(tuples[index])):
        words = tuples[index]
        owners[index] = owner.setdefault(words, index)
        if owners[index] != index:
            continue
        for start in range(len(words)):
            for length in (
                *lengths.get(words[start : start + 1], ()),
                *lengths.get(words[start : start + 2], ()),
            ):
                owner.setdefault(words[start : start + length], index)
    return owners
