from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture(scope="session")
def photos() -> np.ndarray:
    """120 uint8 images of 8 x 8 x 3."""
    return np.random.default_rng(1).integers(0, 256, (120, 8, 8, 3), dtype="uint8")
