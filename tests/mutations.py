"""Damage of every kind to a file, from a seed: what disks, copies and hands do to bytes."""

import io
import random
import zipfile


def damaged(content, count, seed=0):
    """Yield (kind, bytes) of `count` damaged forms of a file's bytes, which differ from them."""
    draw = random.Random(seed)
    kinds = [_flip, _truncate, _zero, _insert, _duplicate, _delete, _swap]
    if zipfile.is_zipfile(io.BytesIO(content)):
        kinds += [_swap_members, _rename_member, _drop_member, _repeat_member]
    made = 0
    while made < count:
        mutated = content
        chosen = draw.choices(kinds, k=draw.choice((1, 1, 1, 2)))
        for mutate in chosen:
            mutated = mutate(mutated, draw)
        if mutated != content:
            made += 1
            yield "+".join(mutate.__name__[1:] for mutate in chosen), mutated


def _span(content, draw):
    start = draw.randrange(len(content) + 1)
    return start, min(len(content), start + draw.choice((1, 2, 8, 64, 512)))


def _flip(content, draw):
    changed = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 8))):
        if changed:
            changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _truncate(content, draw):
    return content[: draw.choice((0, 1, draw.randrange(len(content) + 1), len(content) - 1))]


def _zero(content, draw):
    start, end = _span(content, draw)
    return content[:start] + bytes(end - start) + content[end:]


def _insert(content, draw):
    start, end = _span(content, draw)
    return content[:start] + draw.randbytes(end - start) + content[start:]


def _duplicate(content, draw):
    start, end = _span(content, draw)
    return content[:end] + content[start:end] + content[end:]


def _delete(content, draw):
    start, end = _span(content, draw)
    return content[:start] + content[end:]


def _swap(content, draw):
    (a, b), (c, d) = sorted((_span(content, draw), _span(content, draw)))
    b = min(b, c)
    return content[:a] + content[c:d] + content[b:c] + content[a:b] + content[d:]


def _members(content):
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return [(name, archive.read(name)) for name in archive.namelist()], archive.comment
    except Exception:  # it was damaged before
        return [], b""


def _zipped(members, comment):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in members:
            archive.writestr(name, data)
        archive.comment = comment
    return file.getvalue()


def _swap_members(content, draw):
    members, comment = _members(content)
    if len(members) < 2:
        return content
    first, second = draw.sample(range(len(members)), 2)
    names = [name for name, _ in members]
    names[first], names[second] = names[second], names[first]
    return _zipped([(n, data) for n, (_, data) in zip(names, members, strict=True)], comment)


def _rename_member(content, draw):
    members, comment = _members(content)
    if not members:
        return content
    index = draw.randrange(len(members))
    members[index] = (f"_{members[index][0]}", members[index][1])
    return _zipped(members, comment)


def _drop_member(content, draw):
    members, comment = _members(content)
    if not members:
        return content
    del members[draw.randrange(len(members))]
    return _zipped(members, comment)


def _repeat_member(content, draw):
    members, comment = _members(content)
    if len(members) < 2:
        return content
    (_, data), (name, _) = draw.sample(members, 2)
    return _zipped([*members, (f"{name}", data)], comment)
