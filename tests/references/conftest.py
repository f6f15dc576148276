import keras
import pytest


@pytest.fixture(autouse=True)
def step_by_step():
    """Run the examples without graphs: writing one down takes longer than running it once."""
    if keras.backend.backend() != "tensorflow":
        yield
        return
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)
