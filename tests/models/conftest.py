"""Models are shared between the tests of this room, so the session is not cleared after each."""

import keras
import pytest


@pytest.fixture(autouse=True)
def _fresh_seeds():
    keras.utils.set_random_seed(0)
