"""Networks that hear: sizes, taps, and a spectrogram that is the recording's own."""

import keras
import numpy as np
import pytest

import kd_keras
from kd_keras.models import audio_resnet, dscnn, sound_from_name

AUDIO = np.random.default_rng(0).normal(0, 0.05, (3, 4000)).astype("float32")


@pytest.fixture(scope="module")
def small():
    return dscnn(4000, 4, width=8, seed=1)


def test_parameters_are_those_of_the_paper_s_formula():
    width, classes = 64, 10
    norm = 4 * width
    block = 9 * width + norm + width * width + norm
    expected = 40 * width + norm + 4 * block + width * classes + classes
    assert dscnn(width=width).count_params() == expected == 24_202


def test_taps_have_names_and_shapes():
    student, teacher = dscnn(width=8), audio_resnet(depth=14, width=4)
    shapes = {
        name: student.get_layer(name).output.shape[1:]
        for name in ("stem", "stage1_block1", "stage1_out", "stage2_out", "stage3_out", "features")
    }
    assert shapes == {
        "stem": (26, 20, 8),
        "stage1_block1": (26, 20, 8),
        "stage1_out": (13, 10, 8),
        "stage2_out": (13, 10, 8),
        "stage3_out": (13, 10, 8),
        "features": (8,),
    }
    assert teacher.get_layer("stage1_block1").output.shape[1:] == (26, 20, 4)
    assert teacher.get_layer("stage3_out").output.shape[1:] == (7, 5, 16)


def test_what_is_heard_does_not_depend_on_the_neighbours_or_the_level(small):
    heard = keras.Model(small.inputs, small.get_layer("stem").output)
    alone = heard(AUDIO[:1]).numpy()
    loud = np.concatenate([AUDIO[:1], 15 * AUDIO[1:]])
    np.testing.assert_allclose(heard(loud)[:1], alone, atol=1e-4)
    np.testing.assert_allclose(heard(AUDIO[:1] / 10), alone, atol=1e-2)
    assert np.abs(heard(AUDIO)[1:2] - alone).max() > 0.1


def test_silence_is_no_nan(small):
    assert np.isfinite(small(np.zeros((1, 4000), "float32"))).all()


def test_the_same_seed_gives_the_same_network(small):
    assert np.array_equal(small(AUDIO), dscnn(4000, 4, width=8, seed=1)(AUDIO))
    assert np.abs(small(AUDIO) - dscnn(4000, 4, width=8, seed=2)(AUDIO)).max() > 1e-3


def test_a_saved_network_needs_no_class_of_ours(small, tmp_path):
    small.save(tmp_path / "s.keras")
    own = {type(layer).__module__.split(".")[0] for layer in small.layers}
    assert own == {"keras"}
    loaded = keras.models.load_model(tmp_path / "s.keras")
    np.testing.assert_array_equal(loaded(AUDIO), small(AUDIO))


def test_another_sample_rate_hears_the_same_tones(small):
    other = dscnn(8000, 4, width=8, sample_rate=16_000, seed=1)
    assert other.get_layer("stem").output.shape == small.get_layer("stem").output.shape


def test_names():
    shape = {"samples": 4000, "num_classes": 3, "sample_rate": 8000, "seed": 1}
    for name, parameters in (
        ("dscnnx4", dscnn(4000, 3, width=4).count_params()),
        ("audio_resnet8x2", audio_resnet(4000, 3, depth=8, width=2).count_params()),
    ):
        model = sound_from_name(name, **shape)
        assert (model.name, model.count_params()) == (name, parameters)
    with pytest.raises(ValueError, match=r"dscnnx<width>.*'audio_resnet20'.*name='resnet20'"):
        sound_from_name("resnet20", **shape)
    with pytest.raises(ValueError, match=r"`samples`.*100"):
        kd_keras.models.dscnn(100)
