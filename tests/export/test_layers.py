"""The report of layers points at the layer that was damaged on purpose."""

from __future__ import annotations

import math

import flatbuffers
import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema

from kd_keras import export
from kd_keras.export import layers


def classifier(names=("first", "second", "third")):
    keras.utils.set_random_seed(3)
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Rescaling(1 / 127.5, -1.0)(inputs)
    for name in names:
        x = keras.layers.Conv2D(8, 3, padding="same", activation="relu", name=name)(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(4)(x), name=f"net_of_{names[0]}")


@pytest.fixture(scope="module")
def net():
    return classifier()


@pytest.fixture(scope="module")
def int8_file(net, photos, tmp_path_factory):
    path = tmp_path_factory.mktemp("layers") / "int8.tflite"
    export.to_tflite(net, path, "int8", photos)
    return path


@pytest.fixture(scope="module", autouse=True)
def _each_student_is_converted_once():
    """Keep the float32 conversions: they take longer than the comparisons."""
    kept, plain = {}, layers.convert

    def convert(student, signatures, *settings):
        key = id(student), signatures[0].specs[0].shape[0]
        if key not in kept:
            kept[key] = plain(student, signatures, *settings), student
        return kept[key][0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layers, "convert", convert)
        yield


def edited(source, target, change):
    """Write `source` to `target` after `change(graph, buffers, operators by kind)`."""
    content = source.read_bytes()
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content))
    graph = model.subgraphs[0]
    convolution = schema.BuiltinOperator.CONV_2D
    convolutions = [
        operator
        for operator in graph.operators
        if model.operatorCodes[operator.opcodeIndex].builtinCode == convolution
    ]
    change(graph, model.buffers, convolutions)
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), b"TFL3")
    target.write_bytes(bytes(builder.Output()))
    return target


def worst(report):
    return report.layers[report.worst]


def test_a_sound_file_has_every_operator_and_its_noise_grows_slowly(int8_file, net, photos):
    seen = []
    report = export.layer_differences(int8_file, net, photos, progress=seen.append)

    kinds = [layer.operator for layer in report.layers]
    assert kinds == [
        "QUANTIZE",
        "MUL",
        "ADD",
        *["CONV_2D"] * 3,
        "MEAN",
        "FULLY_CONNECTED",
        "DEQUANTIZE",
    ]
    assert report.uncompared == ()
    assert report.examples == seen[-1] == len(photos)
    # Whole numbers from 0 to 255 pass a step of 1 unharmed.
    assert report.layers[0].step == 1.0
    assert math.isinf(report.layers[0].own_sqnr)
    for layer in report.layers[1:]:
        assert layer.worse_sqnr > 25
        assert 20 < layer.sqnr <= layer.own_sqnr + 3
        assert 0 < layer.mean_error < 0.02
        assert layer.clipped is None or layer.clipped < 0.01
    assert report.layers[-1].step is None

    # The last one is the file's own output, on the kernels that were used here.
    answer = export.LiteModel(int8_file, xnnpack=False).predict(photos)
    reference = np.asarray(net(photos.astype("float32")))
    ratio = np.sum(reference**2) / np.sum((answer - reference) ** 2)
    assert report.layers[-1].sqnr == pytest.approx(10 * math.log10(ratio), abs=0.05)
    error = np.mean(np.abs(answer - reference)) / np.ptp(reference)
    assert report.layers[-1].mean_error == pytest.approx(error, rel=0.01)


@pytest.mark.parametrize("damaged", [0, 2])
def test_a_layer_without_its_kernel_is_found_wherever_it_is(
    damaged, int8_file, net, photos, tmp_path
):
    def erase(graph, buffers, convolutions):
        kernel = graph.tensors[convolutions[damaged].inputs[1]]
        buffers[kernel.buffer].data = np.zeros_like(buffers[kernel.buffer].data)

    broken = edited(int8_file, tmp_path / "broken.tflite", erase)
    report = export.layer_differences(broken, net, photos[:64])

    assert report.worst == 3 + damaged
    assert worst(report).own_sqnr < 1
    # Those before it are sound, those after it are sound by themselves and wrong through it.
    for layer in report.layers[1 : report.worst]:
        assert layer.sqnr > 25
    for layer in report.layers[report.worst + 1 :]:
        assert layer.own_sqnr > 20
        assert layer.sqnr < 15


def test_a_clipped_range_is_found_with_the_share_of_clipped_values(
    int8_file, net, photos, tmp_path
):
    def shrink(graph, buffers, convolutions):
        parameters = graph.tensors[convolutions[1].outputs[0]].quantization
        parameters.scale = np.asarray(parameters.scale) / 8

    clipped = edited(int8_file, tmp_path / "clipped.tflite", shrink)
    report = export.layer_differences(clipped, net, photos[:64])

    assert report.worst == 4
    assert 0.2 < worst(report).clipped < 1
    assert worst(report).own_sqnr < 10
    assert max(layer.clipped or 0 for layer in report.layers if layer != worst(report)) < 0.01


def test_an_outlier_that_drowns_the_other_channels_is_found_by_channel(photos, tmp_path):
    loud = classifier(("a", "b", "c"))
    kernel, bias = loud.get_layer("b").get_weights()
    kernel[..., 0] = np.abs(kernel[..., 0]) * 1000
    loud.get_layer("b").set_weights([kernel, bias])
    # The next layer does not listen to it, so that it makes no noise of its own.
    kernel, bias = loud.get_layer("c").get_weights()
    kernel[:, :, 0] = 0
    loud.get_layer("c").set_weights([kernel, bias])
    export.to_tflite(loud, tmp_path / "loud.tflite", "int8", photos, min_agreement=None)

    report = export.layer_differences(tmp_path / "loud.tflite", loud, photos[:64])

    assert report.worst == 4
    # The loud channel hides what happened to the seven others.
    assert worst(report).own_sqnr > 20
    assert worst(report).channel_sqnr == pytest.approx(10 * math.log10(8 / 7), abs=1)


def test_input_ranges_of_dark_pictures_are_found_at_the_input(net, photos, tmp_path):
    # Without a range of its own the input gets that of the pictures.
    export.to_tflite(net, tmp_path / "dark.tflite", "int8", photos // 4, input_range=None)

    report = export.layer_differences(tmp_path / "dark.tflite", net, photos[:64])

    assert report.worst == 0
    assert worst(report).operator == "QUANTIZE"
    assert worst(report).clipped == pytest.approx(0.75, abs=0.03)


def test_a_file_that_takes_bytes_has_its_input_as_the_first_layer(net, photos, tmp_path):
    converter = tf.lite.TFLiteConverter.from_keras_model(net)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([p[None] / np.float32(2)] for p in photos)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.uint8
    (tmp_path / "bytes.tflite").write_bytes(converter.convert())

    report = export.layer_differences(tmp_path / "bytes.tflite", net, photos[:64])

    assert report.layers[0].operator == "INPUT"
    assert report.worst == 0
    # Its range ends at half of what the pictures have.
    assert worst(report).clipped == pytest.approx(0.5, abs=0.03)
    assert worst(report).step == pytest.approx(0.5, abs=0.01)
    assert report.layers[-1].operator == "QUANTIZE"


def test_operators_are_found_by_their_order_where_the_names_differ(int8_file, net, photos):
    twin = classifier(("other", "names", "here"))
    twin.set_weights(net.get_weights())

    report = export.layer_differences(int8_file, twin, photos[:64])

    assert report.uncompared == ()
    assert min(layer.own_sqnr for layer in report.layers) > 25


def test_a_float_file_is_exact_and_has_no_worst_layer(net, photos, tmp_path):
    export.to_tflite(net, tmp_path / "float.tflite", batch_size=8)

    report = export.layer_differences(tmp_path / "float.tflite", net, photos[:20])

    assert report.worst is None
    # A last batch that is not full is left out.
    assert report.examples == 16


def test_another_student_and_data_of_another_shape_are_refused(int8_file, net, photos):
    pooled = keras.layers.GlobalMaxPooling2D()(net.input)
    with pytest.raises(ValueError, match="Pass the student that the file was made from"):
        export.layer_differences(int8_file, keras.Model(net.input, pooled), photos[:8])
    with pytest.raises(ValueError, match=r"shape \(None, 8, 8, 3\)"):
        export.layer_differences(int8_file, net, photos[:, :4])
