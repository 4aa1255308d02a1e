"""A `.tflite` file as a container: named metadata buffers inside, a zip of further files behind."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import flatbuffers
import numpy as np

from kd_keras.archives import read_member
from kd_keras.export.quiet import quiet_stderr

# The converter puts every buffer there, and XNNPACK reads weights in place only from there.
_ALIGNMENT = 16
# Bytes of a text such as the labels: a hundred thousand long names.
MOST_TEXT = 2**24


def check_whole(content: bytes, received: str) -> None:
    """Raise unless LiteRT finds `content` a complete model; `received` names it in the error."""
    from ai_edge_litert.interpreter import Interpreter

    try:
        with quiet_stderr():
            Interpreter(model_content=content)  # verifies every offset of the flatbuffer
    except (RuntimeError, ValueError) as error:
        raise ValueError(
            f"LiteRT takes this for no whole .tflite file: {error}. It may be cut off or damaged; "
            f"export the student again. Received: {received} of {len(content)} bytes"
        ) from error


def put_buffer(model: Any, name: bytes, content: bytes) -> None:
    """Put `content` into the metadata buffer of that name of an unpacked model."""
    from ai_edge_litert import schema_py_generated as schema

    data = np.frombuffer(content, "uint8")
    for entry in model.metadata or ():
        if entry.name == name:
            model.buffers[entry.buffer].data = data
            return
    entry, buffer = schema.MetadataT(), schema.BufferT()
    entry.name, entry.buffer = name, len(model.buffers)
    buffer.data = data
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or ()), entry]


def serialized(model: Any) -> bytes:
    """Return an unpacked model as a flatbuffer, its buffers aligned as by the converter."""
    builder = _AligningBuilder(4096 + sum(_size(buffer) for buffer in model.buffers))
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _size(buffer: Any) -> int:
    return _ALIGNMENT + (0 if buffer.data is None else len(buffer.data))


def with_file(content: bytes, name: str, text: str) -> bytes:
    """Return a flatbuffer with a file of UTF-8 text behind it.

    Raises:
        ValueError: If the text is longer than `read_file` reads.
    """
    encoded = text.encode("utf-8")
    if len(encoded) > MOST_TEXT:
        raise ValueError(
            f"{name!r} must have at most {MOST_TEXT:,} bytes, which is as much as is read. "
            f"Received: {len(encoded):,} bytes"
        )
    whole = io.BytesIO(content)
    # Readers on phones map the file into memory, so it is stored as it is. Date, system and
    # permissions are fixed for the bytes to be the same everywhere.
    entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    entry.create_system, entry.external_attr = 3, 0o644 << 16
    with zipfile.ZipFile(whole, "a", zipfile.ZIP_STORED) as archive:
        archive.writestr(entry, encoded)
    return whole.getvalue()


def get_buffer(model: Any, name: bytes) -> bytes | None:
    """Return the metadata buffer of that name of a packed model, or None where there is none."""
    for index in range(model.MetadataLength()):
        entry = model.Metadata(index)
        if entry.Name() == name:
            buffer = model.Buffers(entry.Buffer())
            return buffer.DataAsNumpy().tobytes() if buffer.DataLength() else b""
    return None


def read_file(content: bytes, name: str) -> str:
    """Return the text of a file behind the flatbuffer.

    Raises:
        KeyError: If there is no such file.
        zipfile.BadZipFile: If there is no zip, or a damaged one.
        ValueError: If it is larger than `MOST_TEXT`, or no UTF-8.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return read_member(archive, name, MOST_TEXT).decode("utf-8")


class _AligningBuilder(flatbuffers.Builder):
    """Gives byte vectors the alignment that the schema demands and Python's builder forgets."""

    def StartVector(self, elemSize: int, numElems: int, alignment: int) -> int:
        return super().StartVector(
            elemSize, numElems, max(alignment, _ALIGNMENT) if elemSize == 1 else alignment
        )
