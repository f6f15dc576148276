import gc
import os
import tempfile

# Before Keras is imported: figures without a screen, and downloads of the tests in a folder of their own.
os.environ.setdefault("MPLBACKEND", "agg")
os.environ["KERAS_HOME"] = tempfile.mkdtemp(prefix="keras-home-")

import keras
import numpy as np
import pytest

if keras.backend.backend() == "tensorflow":
    import tensorflow

    # Graphs that run once or twice are not worth optimizing: for ACC-UNet that takes a quarter of the first step.
    tensorflow.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


def pytest_collection_finish():
    """Spare the garbage collector what was imported: it stays to the end anyway."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def no_collection_on_demand(monkeypatch):
    """Keras collects garbage after each layer that it quantizes: for ACC-UNet's 80, that takes three times the rest."""
    monkeypatch.setattr(gc, "collect", lambda generation=2: 0)


@pytest.fixture(autouse=True)
def same_numbers_every_time():
    keras.utils.set_random_seed(0)
    yield
    keras.config.set_dtype_policy("float32")


@pytest.fixture
def born_with_zeros(monkeypatch):
    """Networks start with zeros, where only their size matters: random numbers for a billion weights take long."""
    zeros = keras.initializers.Zeros()
    monkeypatch.setattr(
        keras.initializers.TruncatedNormal, "__call__", lambda _, shape, dtype=None: zeros(shape, dtype)
    )


@pytest.fixture
def without_numbers():
    """Networks have weights with shapes and without numbers: enough to count, and a billion numbers take long."""
    from keras.src.backend.common import global_state

    with keras.StatelessScope(initialize_variables=False):
        yield
    # Keras remembers them, and would make up for it at its next occasion: gigabytes for networks that nobody has.
    global_state.set_global_attribute("uninitialized_variables", [])


@pytest.fixture
def rng():
    return np.random.default_rng(0)
