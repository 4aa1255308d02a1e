"""The U-Net: sizes by hand, names, and a file that phones run."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kd_keras

SHAPE = (16, 24, 1)


@pytest.fixture(scope="module")
def model():
    return kd_keras.models.unet(SHAPE, 3, width=2, depth=2, seed=3)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(7).integers(0, 256, (4, *SHAPE), dtype=np.uint8)


def parameters_by_hand(width, depth, channels, classes):
    """Count weights; every convolution is followed by four numbers a channel."""

    def pair(before, now):
        return 9 * before * now + 9 * now * now + 8 * now

    widths = [width * 2**level for level in range(depth + 1)]
    total = sum(pair(*ends) for ends in zip([channels, *widths], widths, strict=False))
    for level in range(depth):
        total += pair(widths[level] + widths[level + 1], widths[level])
    return total + width * classes + classes


@pytest.mark.parametrize(("width", "depth"), [(2, 2), (4, 3), (3, 1)])
def test_the_parameter_count_is_the_formulas(width, depth):
    model = kd_keras.models.unet((8, 8, 3), 5, width=width, depth=depth)
    assert model.count_params() == parameters_by_hand(width, depth, 3, 5)
    assert model.name == f"unet{width}"


def test_taps_have_stable_names_and_logits_the_size_of_the_image(model):
    names = ("down1_out", "down2_out", "bottom", "up2_out", "features", "logits")
    shapes = {name: model.get_layer(name).output.shape[1:] for name in names}
    assert shapes == {
        "down1_out": (16, 24, 2),
        "down2_out": (8, 12, 4),
        "bottom": (4, 6, 8),
        "up2_out": (8, 12, 4),
        "features": (16, 24, 2),
        "logits": (16, 24, 3),
    }
    assert model.layers[-1].activation is keras.activations.linear
    assert {type(layer).__module__.partition(".")[0] for layer in model.layers} == {"keras"}


def test_uint8_and_float_images_give_equal_logits_by_every_way_in(model, images):
    logits = model.predict(images, verbose=0)
    assert logits.shape == (4, 16, 24, 3)
    np.testing.assert_array_equal(logits, model.predict(images.astype("float32"), verbose=0))
    np.testing.assert_allclose(logits, tf.function(model)(tf.constant(images)), atol=1e-5)


def test_seeds_repeat_weights_and_no_two_kernels_are_one_draw(model):
    twin, other = (kd_keras.models.unet(SHAPE, 3, width=2, depth=2, seed=s) for s in (3, 4))
    kernels = [[w.numpy() for w in m.weights if "kernel" in w.path] for m in (model, twin, other)]
    for mine, same, another in zip(*kernels, strict=True):
        np.testing.assert_array_equal(mine, same)
        assert not np.array_equal(mine, another)
    starts = [tuple((kernel / kernel.std()).ravel()[:2].round(3)) for kernel in kernels[0]]
    assert len(set(starts)) == len(starts)


@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")
def test_the_tflite_file_needs_builtins_only_and_agrees(model, images):
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    interpreter = tf.lite.Interpreter(model_content=converter.convert())
    [given], [returned] = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.resize_tensor_input(given["index"], images.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(given["index"], images.astype("float32"))
    interpreter.invoke()
    np.testing.assert_allclose(
        interpreter.get_tensor(returned["index"]), model.predict(images, verbose=0), atol=1e-4
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_shape": (20, 16, 1)}, r"`input_shape`.*halved 3 times, multiples of 8"),
        ({"input_shape": (16, 16)}, r"`input_shape`.*Received: input_shape=\(16, 16\)"),
        ({"width": 0}, "`width`.*width=0"),
        ({"depth": 7}, "`depth`.*depth=7"),
        ({"num_classes": 1}, "`num_classes`.*num_classes=1"),
        ({"weight_decay": -0.1}, r"`weight_decay`.*weight_decay=-0\.1"),
    ],
)
def test_arguments_out_of_range_are_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        kd_keras.models.unet(**arguments)
