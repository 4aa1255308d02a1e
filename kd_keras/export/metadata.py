"""What a `.tflite` file says of itself: labels, input normalisation, what its outputs are.

Written as TensorFlow Lite metadata (a flatbuffer in the file's buffer TFLITE_METADATA, the label
file as an uncompressed zip behind the model), not as a sidecar: it is what MediaPipe Tasks reads on
Android, iOS, the web and in Python, it is what Android's older task library reads, and one file
cannot lose its other half. LiteRT itself ignores both.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from kd_keras.arguments import check_integer, is_number
from kd_keras.class_names import is_class_name
from kd_keras.export.interpreter import read_content
from kd_keras.export.metadata_file import (
    check_whole,
    get_buffer,
    put_buffer,
    read_file,
    serialized,
    with_file,
)
from kd_keras.export.metadata_schema import Description, TensorDescription, build, parse
from kd_keras.vocabulary import Vocabulary

OutputKind = Literal["logits", "probabilities"]

_LABEL_FILE = "labels.txt"
_VOCABULARY_FILE = "vocab.txt"
_BUFFER = b"TFLITE_METADATA"
_RUNTIME_VERSION = b"min_runtime_version"
_IDS = (
    "Ids of words, padded with 0 behind the words: the text in lower case, without punctuation, "
    "cut at white space. The line of a word in the vocabulary, from 0, is its id; 1 without one."
)
# MediaPipe's own writers call the output so.
_TENSOR_NAMES = {"logits": "logits", "probabilities": "probability"}


@dataclass(frozen=True)
class ModelMetadata:
    """What a `.tflite` file says of itself. What it does not say is empty, or None.

    Attributes:
        name: Name of the model.
        description: What it does.
        version: The model's own version.
        author: Who made it.
        license: Its licence.
        labels: The names of the classes, in the order of the output.
        labelled_output: The output that they belong to, by its name in the signature.
        outputs: Whether that output holds "logits" or "probabilities".
        input_mean: Subtracted from the pixels 0..255, for each channel or one for all.
        input_std: Divides them then: input = (pixel - mean) / std.
        vocabulary: The words that a text is made of, whose ids are 2, 3, ..., as
            `kd_keras.vocabulary.Vocabulary.words`.
        sample_rate: Of a file that hears, the samples in a second of what goes in.
        minimum_runtime_version: The first TensorFlow Lite that has all the file's operators.
    """

    name: str = ""
    description: str = ""
    version: str = ""
    author: str = ""
    license: str = ""
    labels: tuple[str, ...] = ()
    labelled_output: str | None = None
    outputs: OutputKind | None = None
    input_mean: tuple[float, ...] = ()
    input_std: tuple[float, ...] = ()
    vocabulary: tuple[str, ...] = ()
    sample_rate: int | None = None
    minimum_runtime_version: str | None = None


def pack(
    content: bytes,
    *,
    labels: Sequence[str],
    outputs: OutputKind | None = None,
    labelled_output: str | None = None,
    name: str = "image classifier",
    description: str = "",
    version: str = "",
    author: str = "",
    license: str = "",
    input_mean: float | Sequence[float] = 0.0,
    input_std: float | Sequence[float] = 1.0,
    vocabulary: Sequence[str] | None = None,
    sample_rate: int | None = None,
) -> bytes:
    """Return a `.tflite` file with its metadata and labels in it, in place of earlier ones.

    The model calculates what it did before; weights stay aligned, signatures keep their names. The
    same arguments give the same bytes.

    Args:
        content: The file as bytes.
        labels: The names of the classes, in the order of the output.
        outputs: Whether the output holds "logits" or "probabilities"; None for what the file tells:
            probabilities where it ends in a softmax or sigmoid.
        labelled_output: The output that the labels belong to, by its name in the signature; None
            where one output alone has as many classes.
        name: Name of the model.
        description: What it does, for a person.
        version: The model's own version.
        author: Who made it.
        license: Its licence, such as "Apache-2.0".
        input_mean: What the app subtracts from the pixels 0..255 before it fills a float input, for
            each channel or one for all. A student of this package takes raw pixels: 0.
        input_std: What it divides them by then: input = (pixel - mean) / std. For an input of range
            (low, high), std = 255 / (high - low) and mean = -low * std.
        vocabulary: For a file that takes ids of words `(batch, length)`: the words of the ids 2,
            3, ..., as `kd_keras.vocabulary.Vocabulary.words`.
        sample_rate: Of a file that takes recordings, (batch, samples), the samples in a second, 1
            to 2^32 - 1.

    Returns:
        The new file as bytes.

    Raises:
        ValueError: If `content` is no whole TFLite file, a label is empty or of several lines, no
            output, or more than one, has as many classes as there are labels, or a normalisation
            or a vocabulary does not fit.

    Example:

    >>> import keras, kd_keras, pathlib
    >>> student = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(),
    ...                             keras.layers.Dense(2)])
    >>> plain = kd_keras.export.to_tflite(student, "student.tflite").path.read_bytes()
    >>> packed = kd_keras.export.metadata.pack(plain, labels=["cat", "dog"], name="pets")
    >>> kd_keras.export.metadata.read(packed).labels
    ('cat', 'dog')
    """
    names = _checked_labels(labels)
    if sample_rate is not None:
        check_integer("sample_rate", sample_rate, 1, 2**32 - 1)
    if outputs is not None and outputs not in get_args(OutputKind):
        raise ValueError(
            f"`outputs` must be one of {', '.join(map(repr, get_args(OutputKind)))}. "
            f"Received: outputs={outputs!r}"
        )
    from ai_edge_litert import schema_py_generated as schema

    check_whole(content, "content")
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    subgraph = model.subgraphs[0]
    described = Description(
        name=name,
        description=description,
        version=version,
        author=author,
        license=license,
        inputs=tuple(
            _input(subgraph.tensors[index], input_mean, input_std, sample_rate)
            if vocabulary is None
            else TensorDescription("ids", _IDS, vocabulary_file=_VOCABULARY_FILE)
            for index in subgraph.inputs
        ),
        outputs=_outputs(model, names, outputs, labelled_output),
    )
    put_buffer(model, _BUFFER, build(described))
    whole = with_file(serialized(model), _LABEL_FILE, "".join(f"{n}\n" for n in names))
    if vocabulary is None:
        return whole
    shapes = [tuple(map(int, subgraph.tensors[index].shape)) for index in subgraph.inputs]
    if len(shapes) != 1 or len(shapes[0]) != 2:
        raise ValueError(
            "`vocabulary` belongs to a file with one input of ids (batch, length). Received: a "
            f"vocabulary for a file with inputs of shape {shapes}"
        )
    return with_file(whole, _VOCABULARY_FILE, Vocabulary(tuple(vocabulary), shapes[0][1]).lines())


def read(source: bytes | str | os.PathLike[str]) -> ModelMetadata:
    """Return what a `.tflite` file says of itself, whoever wrote it.

    Args:
        source: The file's path, or its bytes.

    Returns:
        `ModelMetadata`; of a file without metadata, all but the runtime version is empty.

    Raises:
        ValueError: If the file is missing or no whole TFLite file, or its metadata are damaged.

    Example:

    >>> import keras, kd_keras
    >>> student = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    >>> result = kd_keras.export.to_tflite(student, "student.tflite", input_range=None,
    ...                                    verification_data=keras.ops.zeros((1, 4)))
    >>> kd_keras.export.metadata.read("student.tflite").minimum_runtime_version
    '1.5.0'
    """
    content = source if isinstance(source, bytes) else read_content(Path(source))
    received = "bytes" if isinstance(source, bytes) else repr(str(source))
    check_whole(content, received)
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(content, 0)
    runtime = _text_buffer(model, _RUNTIME_VERSION)
    found = get_buffer(model, _BUFFER)
    if found is None:
        return ModelMetadata(minimum_runtime_version=runtime)
    try:
        described = parse(found)
        index = next((i for i, tensor in enumerate(described.outputs) if tensor.label_file), None)
        labels: tuple[str, ...] = ()
        if index is not None:
            text = read_file(content, described.outputs[index].label_file)
            labels = _lines(text)
        words = next((each.vocabulary_file for each in described.inputs), "")
        vocabulary = Vocabulary.from_lines(read_file(content, words), 1).words if words else ()
    except (ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"The metadata in the .tflite file cannot be read: {error}. Pack them again with "
            f"`kd_keras.export.metadata.pack`. Received: {received}"
        ) from error
    image = next((tensor for tensor in described.inputs if tensor.mean), None)
    rates = (tensor.sample_rate for tensor in described.inputs if tensor.sample_rate)
    return ModelMetadata(
        name=described.name,
        description=described.description,
        version=described.version,
        author=described.author,
        license=described.license,
        labels=labels,
        labelled_output=None if index is None else _output_name(model, index),
        outputs=None if index is None else _kind(described.outputs[index].name),
        input_mean=image.mean if image else (),
        input_std=image.std if image else (),
        vocabulary=vocabulary,
        sample_rate=next(rates, None),
        minimum_runtime_version=runtime,
    )


def minimum_runtime_version(content: bytes) -> str | None:
    """Return the first TensorFlow Lite version that has all operators of a file.

    Args:
        content: The file as bytes.

    Returns:
        A version such as "1.14.0", as the converter noted it; None where it did not.

    Raises:
        ValueError: If `content` is no whole TFLite file.

    Example:

    >>> import keras, kd_keras
    >>> student = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(),
    ...                             keras.layers.Dense(2)])
    >>> content = kd_keras.export.to_tflite(student, "student.tflite").path.read_bytes()
    >>> kd_keras.export.metadata.minimum_runtime_version(content)
    '1.5.0'
    """
    return read(content).minimum_runtime_version


def _checked_labels(labels: Any) -> tuple[str, ...]:
    names = () if isinstance(labels, str) else tuple(labels)
    wrong = [name for name in names if not is_class_name(name)]
    if not names or wrong:
        raise ValueError(
            "`labels` must be a list of the classes' names, each one line of text without control "
            f"characters, in the order of the output. Received: labels={labels!r}"
        )
    return names


def _lines(text: str) -> tuple[str, ...]:
    """Return the lines as every other reader of label files sees them: "\\n" alone ends one."""
    return tuple(line.removesuffix("\r") for line in text.removesuffix("\n").split("\n") if text)


def _input(tensor: Any, mean: Any, std: Any, sample_rate: int | None) -> TensorDescription:
    shape = tuple(int(size) for size in tensor.shape)
    if len(shape) == 2 and sample_rate is not None:
        return TensorDescription(
            "audio",
            f"One recording of {shape[1]} samples in -1..1, {sample_rate} in a second.",
            sample_rate=sample_rate,
        )
    if len(shape) != 4 or shape[-1] not in (1, 3):
        return TensorDescription("input")
    channels = shape[-1]
    means, stds = (
        _per_channel(mean, "input_mean", channels),
        _per_channel(std, "input_std", channels),
    )
    if len(means) != len(stds):
        means, stds = (v * channels if len(v) == 1 else v for v in (means, stds))
    if 0.0 in stds:
        raise ValueError(f"`input_std` must not be 0. Received: input_std={std!r}")
    return TensorDescription(
        "image",
        f"One image of {shape[1]} x {shape[2]} pixels, {'RGB' if channels == 3 else 'grey'}, "
        "0..255 before the normalisation that is given here.",
        channels,
        means,
        stds,
    )


def _per_channel(value: Any, argument: str, channels: int) -> tuple[float, ...]:
    values = tuple(value) if isinstance(value, Sequence) else (value,)
    if not all(map(is_number, values)) or len(values) not in (1, channels):
        raise ValueError(
            f"`{argument}` must be a number, or one for each of the {channels} channels. "
            f"Received: {argument}={value!r}"
        )
    return tuple(map(float, values))


def _outputs(
    model: Any, labels: tuple[str, ...], kind: OutputKind | None, labelled: str | None
) -> tuple[TensorDescription, ...]:
    subgraph = model.subgraphs[0]
    shapes = [tuple(map(int, subgraph.tensors[index].shape)) for index in subgraph.outputs]
    names = _output_names(model)
    if labelled is not None and labelled not in names:
        raise ValueError(
            f"`labelled_output` must name one of the file's outputs: {', '.join(names)}. "
            f"Received: labelled_output={labelled!r}"
        )
    # The classes of each input, else those of each of its pixels.
    of_rank = {
        rank: [
            name
            for name, shape in zip(names, shapes, strict=True)
            if len(shape) == rank and shape[-1] == len(labels) and labelled in (None, name)
        ]
        for rank in (2, 4)
    }
    fitting = of_rank[2] or of_rank[4]
    if not fitting:
        raise ValueError(
            "`labels` must name each class of an output once. Received: "
            f"{len(labels)} labels for a file with outputs of shape {shapes}"
        )
    if len(fitting) > 1:
        raise ValueError(
            f"`labels` must belong to one output, and {len(fitting)} have {len(labels)} classes. "
            f"Say which with labelled_output=, such as labelled_output={fitting[0]!r}. "
            f"Received: a file with the outputs {fitting}"
        )
    kind = kind or _kind_of_source(model, int(subgraph.outputs[names.index(fitting[0])]))
    meaning = {
        "logits": "Logits: a softmax of them gives the probabilities of the labels.",
        "probabilities": "Probabilities of the labels.",
    }[kind]
    return tuple(
        TensorDescription(_TENSOR_NAMES[kind], meaning, label_file=_LABEL_FILE)
        if name == fitting[0]
        else TensorDescription(name)
        for name in names
    )


def kind_in_file(content: bytes, output: str) -> OutputKind:
    """Return what a file's operators say of an output: probabilities after a softmax or sigmoid."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    graph, names = model.subgraphs[0], _output_names(model)
    if output not in names:  # of a file without signatures
        names = [graph.tensors[index].name.decode() for index in graph.outputs]
    return _kind_of_source(model, int(graph.outputs[names.index(output)]))


def _kind_of_source(model: Any, tensor: int) -> OutputKind:
    from ai_edge_litert import schema_py_generated as schema

    kind = schema.BuiltinOperator
    makers = {int(i): each for each in model.subgraphs[0].operators for i in each.outputs}
    maker = makers.get(tensor)
    while maker is not None:
        code = model.operatorCodes[maker.opcodeIndex]
        # The older field ends at 127.
        operator = max(code.builtinCode, code.deprecatedBuiltinCode)
        if operator in (kind.SOFTMAX, kind.LOGISTIC):
            return "probabilities"
        # They change the form of the values alone.
        if operator not in (kind.CAST, kind.DEQUANTIZE, kind.QUANTIZE, kind.RESHAPE):
            return "logits"
        maker = makers.get(int(maker.inputs[0]))
    return "logits"


def _output_names(model: Any) -> list[str]:
    signature = _signature_names(model)
    outputs = model.subgraphs[0].outputs
    return [signature.get(index, f"output_{i}") for i, index in enumerate(outputs)]


def _signature_names(model: Any) -> dict[int, str]:
    for signature in model.signatureDefs or ():
        if signature.subgraphIndex == 0:
            return {output.tensorIndex: output.name.decode() for output in signature.outputs}
    return {}


def _text_buffer(model: Any, name: bytes) -> str | None:
    found = get_buffer(model, name)
    return found.rstrip(b"\0").decode("utf-8", "replace") or None if found else None


def _output_name(model: Any, position: int) -> str | None:
    tensor = int(model.Subgraphs(0).Outputs(position))
    for index in range(model.SignatureDefsLength()):
        signature = model.SignatureDefs(index)
        for item in map(signature.Outputs, range(signature.OutputsLength())):
            if signature.SubgraphIndex() == 0 and item.TensorIndex() == tensor:
                return item.Name().decode()
    return model.Subgraphs(0).Tensors(tensor).Name().decode()


def _kind(name: str) -> OutputKind | None:
    for kind, tensor_name in _TENSOR_NAMES.items():
        if name in (kind, tensor_name):
            return "logits" if kind == "logits" else "probabilities"
    return None
