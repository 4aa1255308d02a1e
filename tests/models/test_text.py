"""Networks of texts: padding never counts, a seed gives the same network, files come back."""

import keras
import numpy as np
import pytest

from kd_keras.models import text_network
from kd_keras.models.words import MeanOfWords

# Their loops and many layers take longest.
EACH = (
    "bag4",
    "textcnn4",
    "bagcnn4",
    pytest.param("bigru4", marks=pytest.mark.slow),
    pytest.param("transformer2x8", marks=pytest.mark.slow),
)
IDS = np.zeros((6, 14), "int32")
for row, length in zip(IDS, (1, 3, 6, 8, 8, 0), strict=True):
    row[:length] = np.random.default_rng(length).integers(1, 30, length)


def network(name, length=8, **options):
    return text_network(name, length=length, num_classes=3, vocabulary_size=30, **options)


@pytest.fixture(scope="module", params=EACH)
def model(request):
    model = network(request.param, seed=1)
    # Biases, which a new network has none of, show where padding counts.
    random = np.random.default_rng(0)
    model.set_weights([w + random.normal(0, 0.3, w.shape) for w in model.get_weights()])
    return model


def test_what_is_said_of_a_text_does_not_depend_on_the_padding_behind_it(model):
    longer = network(model.name, length=14)
    weights = [
        np.pad(weight, [(0, 6), (0, 0)], constant_values=9.0)
        if weight.shape == (8, 8) and "positions" in variable.path
        else weight
        for weight, variable in zip(model.get_weights(), model.weights, strict=True)
    ]
    longer.set_weights(weights)
    logits = model(IDS[:, :8]).numpy()
    np.testing.assert_allclose(longer(IDS).numpy(), logits, atol=1e-5)
    assert np.isfinite(logits).all()
    assert np.abs(logits[2] - logits[3]).max() > 1e-3


def test_a_saved_network_says_the_same(model, tmp_path):
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again(IDS[:, :8]), model(IDS[:, :8]))


def test_taps_and_the_end_have_their_names(model):
    assert {"words", "features", "logits"} <= {layer.name for layer in model.layers}
    assert model.output.dtype == "float32" and model.input_shape == (None, 8)
    words = keras.Model(model.input, model.get_layer("words").output)(IDS[:, :8]).numpy()
    assert (words[0, 1:] == 0).all() and (words[0, 0] != 0).any()


def test_the_same_seed_gives_the_same_network_and_another_one_another():
    def weights(seed):
        return network("textcnn4", seed=seed).get_weights()

    first, again, other = weights(1), weights(1), weights(2)
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(first[0], other[0])
    kernels = [weight for weight in first if weight.ndim == 3]
    assert len({kernel.ravel()[0] for kernel in kernels}) == len(kernels)


def test_dropout_and_weight_decay_are_there_when_asked_for():
    model = network("textcnn4-drop0.5", weight_decay=1e-3, seed=1)
    a, b = (model(IDS[:, :8], training=True).numpy() for _ in range(2))
    assert not np.array_equal(a, b)
    kernels = [w.numpy() for w in model.weights if w.path.endswith("kernel")]
    expected = sum(0.5e-3 * np.square(kernel).sum() for kernel in kernels)
    assert float(sum(model.losses)) == pytest.approx(expected, rel=1e-4)
    assert not network("textcnn4").losses


def test_the_mean_of_words_runs_in_a_mixed_precision():
    layer = MeanOfWords(dtype="mixed_bfloat16")
    x, mask = np.ones((2, 4, 3), "float32"), np.array([[[1.0]] * 4, [[0.0]] * 4], "float32")
    np.testing.assert_array_equal(keras.ops.cast(layer([x, mask]), "float32"), [[1.0] * 3, [0] * 3])


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("bag", {}, "one of the forms bag<width>"),
        ("resnet20", {}, "such as 'bag32'"),
        ("transformer64", {}, "transformer<layers>x<width>"),
        ("bag0", {}, "`width`"),
        ("bag4-drop1", {}, "with -drop<share> behind it"),
        ("bag4", {"length": 0}, "`length`"),
    ],
)
def test_what_makes_no_network_is_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        network(name, **options)
    with pytest.raises(TypeError, match="must be a string"):
        network(3)
