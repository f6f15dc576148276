"""A `.keras` file that one backend has written is read by another, optimizer and all, and gives the same."""

import keras
import numpy as np
import pytest

from tests.helpers import GOLDENS


@pytest.mark.parametrize("name", ["convnext_v2", "convunext"])
def test_what_tensorflow_saved(name):
    golden = np.load(GOLDENS / "saved.npz")
    model = keras.models.load_model(GOLDENS / f"{name}.keras")
    np.testing.assert_allclose(model.predict(golden["images"], verbose=0), golden[name], rtol=1e-4, atol=1e-4)
    assert int(model.optimizer.iterations) == 1
    assert all(np.any(keras.ops.convert_to_numpy(moment)) for moment in model.optimizer.variables[2:])
