import keras
import pytest


@pytest.fixture(autouse=True)
def _fresh_seeds():
    # Without clearing the session, whose garbage collection costs more than most of these tests:
    # nothing here builds models.
    keras.utils.set_random_seed(0)
