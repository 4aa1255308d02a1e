"""Files of other tools that end the process that runs them end another one, and are refused."""

from __future__ import annotations

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from kd_keras import export
from kd_keras.cli import main
from kd_keras.export import trial

FEATURES, MEMORY, INPUTS, UNITS = 32, 16, 4, 8


def svdf(state_dtype: np.dtype) -> bytes:
    """Return a file of one int8 SVDF, as TensorFlow Lite Micro has it where its state is int8."""
    kinds = {
        np.dtype("int8"): schema.TensorType.INT8,
        np.dtype("int16"): schema.TensorType.INT16,
        np.dtype("int32"): schema.TensorType.INT32,
    }
    model = schema.ModelT()
    model.version, model.buffers, graph = 3, [schema.BufferT()], schema.SubGraphT()
    graph.tensors = []

    def tensor(name, shape, dtype, *, constant=False, variable=False):
        each = schema.TensorT()
        each.name, each.shape, each.type = name, list(shape), kinds[np.dtype(dtype)]
        each.isVariable, each.quantization = variable, schema.QuantizationParametersT()
        each.quantization.scale, each.quantization.zeroPoint = [0.01], [0]
        if constant:
            buffer = schema.BufferT()
            buffer.data = np.ones(shape, dtype).tobytes()
            model.buffers.append(buffer)
            each.buffer = len(model.buffers) - 1
        graph.tensors.append(each)
        return len(graph.tensors) - 1

    operator = schema.OperatorT()
    operator.inputs = [
        tensor("input", (1, INPUTS), "int8"),
        tensor("features", (FEATURES, INPUTS), "int8", constant=True),
        tensor("time", (FEATURES, MEMORY), state_dtype, constant=True),
        tensor("bias", (UNITS,), "int32", constant=True),
        tensor("state", (1, FEATURES * MEMORY), state_dtype, variable=True),
    ]
    operator.outputs = [tensor("output", (1, UNITS), "int8")]
    operator.builtinOptionsType = schema.BuiltinOptions.SVDFOptions
    operator.builtinOptions = schema.SVDFOptionsT()
    operator.builtinOptions.rank = FEATURES // UNITS
    activation = schema.ActivationFunctionType.RELU
    operator.builtinOptions.fusedActivationFunction = activation
    graph.operators, graph.inputs, graph.outputs = [operator], [0], operator.outputs
    code = schema.OperatorCodeT()
    code.builtinCode, code.deprecatedBuiltinCode = (schema.BuiltinOperator.SVDF,) * 2
    code.version = 3
    model.operatorCodes, model.subgraphs = [code], [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


@pytest.fixture
def micro(tmp_path):
    path = tmp_path / "micro.tflite"
    path.write_bytes(svdf(np.dtype("int8")))
    return path


def test_a_state_that_is_too_small_is_refused_and_the_remedy_works(micro, tmp_path, capfd):
    for measure in (export.LiteModel, export.arena_bytes, export.count_operations):
        with pytest.raises(ValueError, match=r"state of its SVDF is int8.*takes int16.*micro\.tf"):
            measure(micro)
    assert main(["benchmark", str(micro), "--runs", "2"]) == 1
    assert "Convert the model for LiteRT" in capfd.readouterr().err

    ours = tmp_path / "ours.tflite"
    ours.write_bytes(svdf(np.dtype("int16")))
    # The state alone has two bytes for each value.
    assert export.arena_bytes(ours) >= 2 * FEATURES * MEMORY
    assert export.latency(ours, runs=2).runs == 2


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("import os; os.abort()", r"the process that tried it ended with -6\. Convert"),
        ("import time; time.sleep(60)", r"it did not end within 0\.2 seconds\. Its op.* SVDF"),
    ],
)
def test_what_ends_another_process_or_hangs_there_is_refused(program, said, tmp_path, monkeypatch):
    (tmp_path / "program.py").write_text(program)
    monkeypatch.setattr(trial, "_SCRIPT", tmp_path / "program.py")
    monkeypatch.setattr(trial, "_PATIENCE", 0.2)
    monkeypatch.setattr(trial, "_TRIED", set())
    (tmp_path / "file.tflite").write_bytes(svdf(np.dtype("int16")))

    with pytest.raises(ValueError, match=said):
        export.LiteModel(tmp_path / "file.tflite")


def test_a_file_is_tried_once_and_one_without_a_state_never(exported, monkeypatch, tmp_path):
    runs = []

    def run(*arguments, **options):
        runs.append(options["input"])
        return type("Done", (), {"returncode": 0})

    monkeypatch.setattr(trial, "_TRIED", set())
    monkeypatch.setattr(trial.subprocess, "run", run)
    file = tmp_path / "file.tflite"
    file.write_bytes(svdf(np.dtype("int16")))
    for path in (file, file, exported["int8"].path):
        export.LiteModel(path)
    assert runs == [file.read_bytes()]


def test_nothing_of_the_folder_in_which_it_runs_is_run(monkeypatch, tmp_path):
    (tmp_path / "numpy.py").write_text("raise SystemExit(3)")
    (tmp_path / "file.tflite").write_bytes(svdf(np.dtype("int16")))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(trial, "_TRIED", set())

    export.LiteModel("file.tflite")
