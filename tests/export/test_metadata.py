"""Labels and normalisation travel in the file, and the model stays what it was."""

from __future__ import annotations

import hashlib
import io
import zipfile

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from kd_keras import export
from kd_keras.export import metadata
from kd_keras.export.metadata_schema import Description, TensorDescription, build, parse

LABELS = ("cat", "dog", "grüne Katze", "none of them")


@pytest.fixture(scope="module")
def plain(exported) -> bytes:
    return exported["int8"].path.read_bytes()


@pytest.fixture(scope="module")
def packed(plain) -> bytes:
    return metadata.pack(
        plain,
        labels=LABELS,
        outputs="probabilities",
        name="pets",
        description="Tells pets apart.",
        version="1.2",
        author="A. Author",
        license="Apache-2.0",
        input_mean=(1.5, 2.5, 3.5),
        input_std=128,
    )


def test_what_was_packed_is_read_back(packed, tmp_path):
    path = tmp_path / "pets.tflite"
    path.write_bytes(packed)
    expected = metadata.ModelMetadata(
        name="pets",
        description="Tells pets apart.",
        version="1.2",
        author="A. Author",
        license="Apache-2.0",
        labels=LABELS,
        labelled_output="output_0",
        outputs="probabilities",
        input_mean=(1.5, 2.5, 3.5),
        input_std=(128.0, 128.0, 128.0),
        minimum_runtime_version="1.14.0",
    )
    assert metadata.read(packed) == metadata.read(path) == expected
    assert metadata.minimum_runtime_version(packed) == "1.14.0"


@pytest.mark.parametrize("preset", ["none", "float16", "dynamic", "int8"])
def test_the_model_calculates_what_it_did_bit_for_bit(exported, preset, photos, tmp_path):
    before = exported[preset].path
    after = tmp_path / "packed.tflite"
    after.write_bytes(metadata.pack(before.read_bytes(), labels=LABELS))

    np.testing.assert_array_equal(
        export.LiteModel(after).predict(photos), export.LiteModel(before).predict(photos)
    )
    both = [Interpreter(model_path=str(path)) for path in (before, after)]
    assert both[0].get_signature_list() == both[1].get_signature_list()
    assert [m.get_input_details()[0]["name"] for m in both] == ["serving_default_images:0"] * 2


def test_every_buffer_stays_aligned_to_16_bytes(packed):
    model = schema.Model.GetRootAs(packed, 0)
    start = np.frombuffer(packed, "uint8").ctypes.data
    buffers = [model.Buffers(i).DataAsNumpy() for i in range(model.BuffersLength())]
    offsets = [b.ctypes.data - start for b in buffers if isinstance(b, np.ndarray)]
    assert len(offsets) > 5
    assert [offset % 16 for offset in offsets] == [0] * len(offsets)


def test_the_bytes_are_the_same_every_time_and_packing_again_replaces(plain, packed):
    once = metadata.pack(plain, labels=LABELS)
    assert metadata.pack(plain, labels=LABELS) == once
    assert metadata.pack(once, labels=LABELS) == once
    again = metadata.pack(packed, labels=[f"class {i}" for i in range(4)], name="other")
    assert metadata.read(again).labels == ("class 0", "class 1", "class 2", "class 3")
    assert metadata.read(again).author == ""
    assert again.count(b"TFLITE_METADATA") == 1


def test_the_labels_lie_uncompressed_behind_the_model(packed):
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        (entry,) = archive.infolist()
        assert (entry.filename, entry.compress_type) == ("labels.txt", zipfile.ZIP_STORED)
        assert archive.read(entry).decode("utf-8") == "cat\ndog\ngrüne Katze\nnone of them\n"


def test_labels_belong_to_the_output_that_has_as_many_classes(tmp_path):
    inputs = keras.Input((4,))
    outputs = {"score": keras.layers.Dense(2)(inputs), "kind": keras.layers.Dense(3)(inputs)}
    result = export.to_tflite(
        keras.Model(inputs, outputs),
        tmp_path / "two.tflite",
        verification_data=np.zeros((1, 4), "float32"),
        input_range=None,
    )
    content = result.path.read_bytes()
    assert metadata.read(metadata.pack(content, labels=["a", "b", "c"])) == (
        metadata.ModelMetadata(
            name="image classifier",
            labels=("a", "b", "c"),
            labelled_output="kind",
            outputs="logits",
            minimum_runtime_version=metadata.minimum_runtime_version(content),
        )
    )


def test_a_file_without_metadata_says_only_what_runtime_it_needs(plain):
    assert metadata.read(plain) == metadata.ModelMetadata(minimum_runtime_version="1.14.0")


def test_the_schema_is_the_one_that_mediapipe_reads():
    """MediaPipe 1.2.2 was seen to read from these very bytes what is said here."""
    description = Description(
        name="digits",
        description="d",
        version="3",
        author="me",
        license="Apache-2.0",
        inputs=(TensorDescription("image", "i", 3, (0.0,), (1.0,)),),
        outputs=(TensorDescription("logits", "o", label_file="labels.txt"),),
    )
    content = build(description)
    assert parse(content) == description
    digest = "e422f8848cbd89393406a434a42a190a66d3be841105760e41f38215053c8af8"
    assert hashlib.sha256(content).hexdigest() == digest


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"labels": ["a", "b"]}, r"2 labels for a file with outputs of shape \[\(1, 4\)\]"),
        ({"labels": []}, "`labels` must be a list"),
        ({"labels": "abcd"}, "`labels` must be a list"),
        ({"labels": ["a", "b\nc", "d", "e"]}, "one line of text"),
        ({"labels": ["a", "", "d", "e"]}, "one line of text"),
        ({"labels": ["a", "b\n", "d", "e"]}, "one line of text"),
        ({"labels": ["a", "b\x1b[2J", "d", "e"]}, "one line of text"),
        ({"labels": ["a", "b\x1c", "d", "e"]}, "one line of text"),
        ({"outputs": "scores"}, "'logits', 'probabilities'. Received: outputs='scores'"),
        ({"input_std": 0}, "`input_std` must not be 0"),
        ({"input_mean": (1, 2)}, "each of the 3 channels. Received: input_mean="),
        ({"input_mean": float("nan")}, "`input_mean` must be a number"),
    ],
)
def test_metadata_that_do_not_fit_are_refused(plain, change, said):
    with pytest.raises(ValueError, match=said):
        metadata.pack(plain, **{"labels": LABELS, **change})


def test_labels_of_others_are_lines_as_every_reader_of_label_files_sees_them(plain, monkeypatch):
    labels = ("a\x85b", "c\u2028d", "e\x1cf", " g")
    monkeypatch.setattr(metadata, "is_class_name", lambda name: True)
    assert metadata.read(metadata.pack(plain, labels=labels)).labels == labels
    ended = [f"{label}\r" for label in labels]
    assert metadata.read(metadata.pack(plain, labels=ended)).labels == labels


@pytest.mark.parametrize("size", [0, 6, 100, 5000])
def test_a_file_that_was_cut_off_is_refused(plain, size, tmp_path):
    with pytest.raises(ValueError, match="cut off"):
        metadata.pack(plain[:size], labels=LABELS)
    (tmp_path / "cut.tflite").write_bytes(plain[:size])
    with pytest.raises(ValueError, match="cut off"):
        metadata.read(tmp_path / "cut.tflite")


def test_metadata_that_lost_their_labels_or_are_damaged_are_refused(packed):
    flatbuffer = packed[: packed.rindex(b"PK\x03\x04")]
    with pytest.raises(ValueError, match="cannot be read: File is not a zip file"):
        metadata.read(flatbuffer)
    with pytest.raises(ValueError, match="cannot be read: the metadata lack the mark"):
        metadata.read(packed.replace(b"M001", b"M0O1"))
