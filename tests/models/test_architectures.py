"""What holds for every architecture: raw pixels in, logits out, saving, converting, precision."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kd_keras

NAMES = ("resnet8", "mobilenetx0.5", "mlp32-16")
# Its many layers take longest.
EACH = ("resnet8", pytest.param("mobilenetx0.5", marks=pytest.mark.slow), "mlp32-16")


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(7).integers(0, 256, (6, 8, 8, 1), dtype=np.uint8)


def small(name, **options):
    return kd_keras.models.from_name(name, input_shape=(8, 8, 1), num_classes=4, **options)


@pytest.fixture(scope="module", params=EACH)
def model(request):
    """One model for all tests that only look at it."""
    return small(request.param, seed=3)


def test_uint8_and_float_images_give_equal_logits_by_every_way_in(model, images):
    def of_floats(batch):
        return model(tf.cast(batch, tf.float32))

    logits = model.predict(tf.data.Dataset.from_tensor_slices(images).batch(6), verbose=0)
    assert logits.shape == (6, 4)
    np.testing.assert_array_equal(logits, model.predict(images, verbose=0))
    np.testing.assert_array_equal(logits, model.predict(images.astype("float32"), verbose=0))
    inside = tf.function(model)(tf.constant(images))
    np.testing.assert_array_equal(inside, tf.function(of_floats)(tf.constant(images)))
    np.testing.assert_allclose(logits, inside, atol=1e-5)


def test_the_last_layer_is_linear_logits_in_float32(model):
    assert model.layers[-1].name == "logits"
    assert model.layers[-1].activation is keras.activations.linear
    assert model.output.dtype == "float32"


def test_pixels_are_centred_inside_the_model(model):
    ends = np.stack([np.zeros((8, 8, 1)), np.full((8, 8, 1), 255)])
    scaled = keras.Model(model.input, model.get_layer("rescaling").output)(ends)
    np.testing.assert_allclose(np.unique(scaled), [-1.0, 1.0], atol=1e-6)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(model):
    def weights(twin):
        return {
            weight.path: weight.numpy() for weight in twin.weights if weight.path[-6:] == "kernel"
        }

    first, second, other = (
        weights(model),
        weights(small(model.name, seed=3)),
        weights(small(model.name, seed=4)),
    )
    for path, value in first.items():
        np.testing.assert_array_equal(value, second[path])
        assert not np.array_equal(value, other[path])


def test_no_two_kernels_of_a_seeded_model_are_the_same_draw(model):
    draws = [
        (layer.kernel.numpy() / layer.kernel.numpy().std()).ravel()[:9]
        for layer in model.layers
        if hasattr(layer, "kernel")
    ]
    for index, draw in enumerate(draws):
        for other in draws[:index]:
            assert not np.allclose(draw, other, atol=1e-3)


def test_without_a_seed_weights_follow_the_global_seed_of_keras():
    def first_kernel(global_seed):
        keras.utils.set_random_seed(global_seed)
        return kd_keras.models.mlp((4, 4, 1), 2, hidden=(5,)).get_layer("features").kernel.numpy()

    np.testing.assert_array_equal(first_kernel(1), first_kernel(1))
    assert not np.array_equal(first_kernel(1), first_kernel(2))


def test_a_saved_model_loads_from_stock_keras_layers_alone(model, images, tmp_path):
    modules = {type(layer).__module__.partition(".")[0] for layer in model.layers}
    assert modules == {"keras"}
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(
        model.predict(images, verbose=0), loaded.predict(images, verbose=0)
    )
    assert [layer.name for layer in loaded.layers] == [layer.name for layer in model.layers]


@pytest.mark.parametrize("name", EACH)
def test_one_step_of_fit_on_uint8_moves_weights_and_batch_statistics(name, images):
    model = small(name, seed=3)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = [weight.numpy() for weight in model.weights]
    model.fit(images, np.arange(6) % 4, batch_size=6, epochs=1, verbose=0)
    moved = [not np.array_equal(b, w.numpy()) for b, w in zip(before, model.weights, strict=True)]
    statistics = [
        was_moved
        for was_moved, weight in zip(moved, model.weights, strict=True)
        if "moving_" in weight.path
    ]
    assert len(statistics) == len(model.non_trainable_variables)
    assert all(statistics)
    assert any(moved)


@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")
def test_the_float32_tflite_file_needs_builtins_only_and_agrees(model, images):
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    interpreter = tf.lite.Interpreter(model_content=converter.convert())
    assert all("Flex" not in op["op_name"] for op in interpreter._get_ops_details())
    [given], [returned] = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.resize_tensor_input(given["index"], images.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(given["index"], images.astype("float32"))
    interpreter.invoke()
    np.testing.assert_allclose(
        interpreter.get_tensor(returned["index"]), model.predict(images, verbose=0), atol=1e-4
    )


def test_under_mixed_bfloat16_it_computes_in_bfloat16_and_ends_in_float32(images):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        models = [small(name, seed=3) for name in NAMES]
    finally:
        keras.config.set_dtype_policy("float32")
    for model in models:
        dtypes = {layer.name: layer.compute_dtype for layer in model.layers}
        assert dtypes.pop("rescaling") == dtypes.pop("logits") == "float32"
        assert dtypes["features"] == "bfloat16"
        logits = model.predict(images, verbose=0)
        assert logits.dtype == np.float32
        assert np.isfinite(logits).all()


def test_weight_decay_is_a_loss_whose_gradient_is_the_decay_times_the_kernel(model):
    decayed = small(model.name, weight_decay=0.01, seed=3)
    assert not model.losses
    with tf.GradientTape() as tape:
        penalty = tf.add_n(decayed.losses)
    kernel = decayed.get_layer("logits").kernel
    np.testing.assert_allclose(tape.gradient(penalty, kernel.value), 0.01 * kernel, rtol=1e-5)


@pytest.mark.parametrize(
    "build", [kd_keras.models.resnet, kd_keras.models.mobilenet, kd_keras.models.mlp]
)
@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ({"input_shape": (8, 8)}, r"`input_shape`.*Received: input_shape=\(8, 8\)"),
        ({"input_shape": (None, 8, 1)}, r"`input_shape`.*without the batch axis"),
        ({"num_classes": 1}, r"`num_classes`.*from 2 to 1048576.*num_classes=1"),
        ({"num_classes": True}, r"`num_classes`.*num_classes=True"),
        ({"weight_decay": -0.1}, r"`weight_decay`.*weight_decay=-0\.1"),
    ],
)
def test_arguments_out_of_range_are_refused_by_name(build, arguments, names):
    with pytest.raises(ValueError, match=names):
        build(**arguments)


def test_a_seed_that_is_no_integer_is_refused():
    with pytest.raises(TypeError, match=r"`seed`.*seed=1\.5"):
        kd_keras.models.mlp(seed=1.5)
