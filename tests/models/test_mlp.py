import pytest

import kd_keras


def test_the_default_is_the_784_500_10_network():
    model = kd_keras.models.mlp()
    assert model.input_shape == (None, 28, 28, 1)
    assert model.count_params() == 784 * 500 + 500 + 500 * 10 + 10


def test_the_last_hidden_layer_is_called_features():
    model = kd_keras.models.mlp((8, 8, 1), 10, hidden=(30, 20, 10))
    widths = {
        name: model.get_layer(name).output.shape[-1] for name in ("hidden1", "hidden2", "features")
    }
    assert widths == {"hidden1": 30, "hidden2": 20, "features": 10}


@pytest.mark.parametrize("hidden", [(), 500, "500", (500, 0)])
def test_hidden_widths_that_make_no_network_are_refused(hidden):
    with pytest.raises(ValueError, match="`hidden`"):
        kd_keras.models.mlp(hidden=hidden)
