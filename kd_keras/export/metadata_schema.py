"""The tables of TensorFlow Lite's metadata schema that a classifier needs, as a flatbuffer.

No light package writes them on today's Pythons (`tflite-support` has no wheels for Python 3.12 and
later; MediaPipe brings OpenCV and sound), so they are built here, slot by slot as numbered in
`metadata_schema.fbs` of MediaPipe.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import flatbuffers
from flatbuffers.number_types import Float32Flags, Int8Flags, Uint32Flags, UOffsetTFlags
from flatbuffers.table import Table

IDENTIFIER = b"M001"
# The first version of the schema has all that is written here, but for vocabularies.
_PARSER_VERSION, _PARSER_OF_VOCABULARIES = "1.0.0", "1.0.1"

# Members of the schema's enumerations and unions.
_AXIS_LABELS, _VOCABULARY = 2, 5  # AssociatedFileType.TENSOR_AXIS_LABELS, VOCABULARY
_RGB, _GREY = 1, 2  # ColorSpaceType
_FEATURE, _IMAGE, _AUDIO = 1, 2, 4  # ContentProperties
_NORMALIZATION = 1  # ProcessUnitOptions.NormalizationOptions

# Any number of entries may point to one and the same text or table, so that a small buffer could
# stand for gigabytes: so many entries of a list and bytes of a text are read.
_MOST_ENTRIES = 256
_MOST_TEXT = 2**16


@dataclass(frozen=True)
class TensorDescription:
    """What the metadata say of one input or output.

    Attributes:
        name: What the tensor is: "image", "logits", "probability".
        description: A sentence for a person.
        channels: For an image 1 (grey) or 3 (RGB); 0 for anything else.
        mean: Subtracted from the pixels, a value for each channel or one for all; empty if unsaid.
        std: Divides them then, of the same length.
        label_file: Name of the packed file with one label a line, or "".
        vocabulary_file: Name of the packed file with one word a line, or "".
        sample_rate: Of a recording of one channel, samples in a second; 0 for anything else.
    """

    name: str
    description: str = ""
    channels: int = 0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    label_file: str = ""
    vocabulary_file: str = ""
    sample_rate: int = 0


@dataclass(frozen=True)
class Description:
    """What the metadata say of the file.

    Attributes:
        name: Name of the model.
        description: What it does.
        version: The model's own version.
        author: Who made it.
        license: Its licence.
        inputs: In the order of the first subgraph's inputs.
        outputs: In the order of its outputs.
    """

    name: str
    description: str
    version: str
    author: str
    license: str
    inputs: tuple[TensorDescription, ...]
    outputs: tuple[TensorDescription, ...]


def build(described: Description) -> bytes:
    """Return the flatbuffer; the same description gives the same bytes.

    Raises:
        ValueError: If a text is longer than `parse` reads.
    """
    builder = flatbuffers.Builder(1024)
    inputs = _vector(builder, [_tensor(builder, tensor) for tensor in described.inputs])
    outputs = _vector(builder, [_tensor(builder, tensor) for tensor in described.outputs])
    subgraph = _table(builder, offsets={2: inputs, 3: outputs})
    has_words = any(tensor.vocabulary_file for tensor in described.inputs)
    root = _table(
        builder,
        offsets={
            0: _string(builder, described.name),
            1: _string(builder, described.description),
            2: _string(builder, described.version),
            3: _vector(builder, [subgraph]),
            4: _string(builder, described.author),
            5: _string(builder, described.license),
            7: _string(builder, _PARSER_OF_VOCABULARIES if has_words else _PARSER_VERSION),
        },
    )
    builder.Finish(root, file_identifier=IDENTIFIER)
    return bytes(builder.Output())


def parse(content: bytes) -> Description:
    """Return what a metadata flatbuffer says, by whomever it was written.

    Raises:
        ValueError: If it is no metadata, or damaged.
    """
    if content[4:8] != IDENTIFIER:
        raise ValueError("the metadata lack the mark 'M001'")
    try:
        root = Table(content, UOffsetTFlags.py_type(int.from_bytes(content[:4], "little")))
        subgraphs = _tables(root, 3)
        name, description, version, author, licence = (
            _text(root, slot) for slot in (0, 1, 2, 4, 5)
        )
        inputs = tuple(map(_described, _tables(subgraphs[0], 2))) if subgraphs else ()
        outputs = tuple(map(_described, _tables(subgraphs[0], 3))) if subgraphs else ()
    except Exception as error:  # Wherever an offset leads astray, another exception is the result.
        raise ValueError(f"the metadata are damaged ({error})") from error
    return Description(name, description, version, author, licence, inputs, outputs)


def _tensor(builder: flatbuffers.Builder, tensor: TensorDescription) -> int:
    if tensor.channels:
        colours = _table(builder, numbers={0: _RGB if tensor.channels == 3 else _GREY})
        content = _table(builder, offsets={1: colours}, numbers={0: _IMAGE})
    elif tensor.sample_rate:
        sound = _table(builder, words={0: tensor.sample_rate, 1: 1})
        content = _table(builder, offsets={1: sound}, numbers={0: _AUDIO})
    else:
        content = _table(builder, offsets={1: _table(builder)}, numbers={0: _FEATURE})
    offsets = {
        0: _string(builder, tensor.name),
        1: _string(builder, tensor.description),
        3: content,
    }
    if tensor.mean:
        options = _table(
            builder, offsets={0: _floats(builder, tensor.mean), 1: _floats(builder, tensor.std)}
        )
        unit = _table(builder, offsets={1: options}, numbers={0: _NORMALIZATION})
        offsets[4] = _vector(builder, [unit])
    named = ((tensor.label_file, _AXIS_LABELS), (tensor.vocabulary_file, _VOCABULARY))
    files = [
        _table(builder, offsets={0: _string(builder, name)}, numbers={2: kind})
        for name, kind in named
        if name
    ]
    if files:
        offsets[6] = _vector(builder, files)
    return _table(builder, offsets=offsets)


def _table(
    builder: flatbuffers.Builder,
    offsets: Mapping[int, int] | None = None,
    numbers: Mapping[int, int] | None = None,
    words: Mapping[int, int] | None = None,
) -> int:
    """Write a table by slot: `offsets`, numbers of 8 bits and words of 32; 0 is left out."""
    offsets, numbers, words = offsets or {}, numbers or {}, words or {}
    builder.StartObject(max((*offsets, *numbers, *words), default=-1) + 1)
    for slot, offset in offsets.items():
        builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
    for slot, number in numbers.items():
        builder.PrependInt8Slot(slot, number, 0)
    for slot, word in words.items():
        builder.PrependUint32Slot(slot, word, 0)
    return builder.EndObject()


def _string(builder: flatbuffers.Builder, text: str) -> int:
    if len(text.encode()) > _MOST_TEXT:
        raise ValueError(
            f"A text of the metadata must have at most {_MOST_TEXT:,} bytes in UTF-8, which is as "
            f"much as is read. Received: {text[:40]!r} and more, {len(text.encode()):,} bytes"
        )
    return builder.CreateString(text) if text else 0


def _vector(builder: flatbuffers.Builder, offsets: Sequence[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()


def _floats(builder: flatbuffers.Builder, values: Sequence[float]) -> int:
    builder.StartVector(4, len(values), 4)
    for value in reversed(values):
        builder.PrependFloat32(value)
    return builder.EndVector()


def _described(table: Table) -> TensorDescription:
    content, channels, sample_rate = _child(table, 3), 0, 0
    if content is not None and _number(content, 0) == _IMAGE:
        colours = _child(content, 1)
        space = _number(colours, 0) if colours is not None else 0
        channels = {_RGB: 3, _GREY: 1}.get(space, 0)
    if content is not None and _number(content, 0) == _AUDIO:
        sound = _child(content, 1)
        place = 0 if sound is None else _at(sound, 0)
        sample_rate = sound.Get(Uint32Flags, place) if sound is not None and place else 0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    units = [unit for unit in _tables(table, 4) if _number(unit, 0) == _NORMALIZATION]
    options = next(filter(None, (_child(unit, 1) for unit in reversed(units))), None)
    if options is not None:
        mean, std = _float_values(options, 0), _float_values(options, 1)
    # The first one of a kind.
    files = {_number(file, 2): _text(file, 0) for file in reversed(_tables(table, 6))}
    return TensorDescription(
        _text(table, 0),
        _text(table, 1),
        channels,
        mean,
        std,
        files.get(_AXIS_LABELS, ""),
        files.get(_VOCABULARY, ""),
        sample_rate,
    )


def _at(table: Table, slot: int) -> int:
    offset = table.Offset(4 + 2 * slot)
    return table.Pos + offset if offset else 0


def _number(table: Table, slot: int) -> int:
    position = _at(table, slot)
    return table.Get(Int8Flags, position) if position else 0


def _text(table: Table, slot: int) -> str:
    position = _at(table, slot)
    if not position:
        return ""
    length = table.Get(UOffsetTFlags, table.Indirect(position))
    if length > _MOST_TEXT:
        raise ValueError(f"a text of {length:,} bytes; at most {_MOST_TEXT:,} are read")
    return str(table.String(position).decode("utf-8"))


def _child(table: Table, slot: int) -> Table | None:
    position = _at(table, slot)
    return Table(table.Bytes, table.Indirect(position)) if position else None


def _entries(table: Table, slot: int) -> tuple[int, int]:
    """Return where a list begins and how many entries it has; 0 of them where it is not there."""
    offset = table.Offset(4 + 2 * slot)
    if not offset:
        return 0, 0
    length = table.VectorLen(offset)
    if length > _MOST_ENTRIES:
        raise ValueError(f"a list of {length:,} entries; at most {_MOST_ENTRIES} are read")
    return table.Vector(offset), length


def _tables(table: Table, slot: int) -> list[Table]:
    start, length = _entries(table, slot)
    return [Table(table.Bytes, table.Indirect(start + 4 * index)) for index in range(length)]


def _float_values(table: Table, slot: int) -> tuple[float, ...]:
    start, length = _entries(table, slot)
    return tuple(float(table.Get(Float32Flags, start + 4 * index)) for index in range(length))
