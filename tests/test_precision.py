import importlib

import keras
import numpy as np
import pytest

import dlt
from dlt._precision import use_full_float32


def rounds():
    """Return whether the backend lets a GPU round the factors of float32 products, as the backend itself says."""
    backend = importlib.import_module(keras.backend.backend())
    match keras.backend.backend():
        case "tensorflow":
            return backend.config.experimental.tensor_float_32_execution_enabled()
        case "jax":
            return backend.config.jax_default_matmul_precision not in ("highest", "float32")
        case "torch":
            return backend.backends.cudnn.allow_tf32 or backend.get_float32_matmul_precision() != "highest"


@pytest.fixture(autouse=True)
def as_it_comes():
    """Let the test begin with the backend's own choice, and leave things as they were."""
    take_back = use_full_float32()
    take_back()
    before = rounds()
    yield
    assert rounds() == before


def test_float32_is_whole_within_and_as_before_after():
    assert rounds()  # the control: it is not the backend's own choice
    with dlt.measure.full_float32():
        assert not rounds()
        with dlt.measure.full_float32():
            assert not rounds()
        assert not rounds()
    assert rounds()


def test_an_error_takes_it_back_too():
    with pytest.raises(ZeroDivisionError), dlt.measure.full_float32():
        1 / 0  # noqa: B018
    assert rounds()


class Listener(keras.layers.Layer):
    """A layer that changes nothing and remembers whether the backend would have rounded."""

    def __init__(self):
        super().__init__()
        self.heard = []

    def call(self, inputs):
        self.heard.append(rounds())
        return inputs


@pytest.mark.parametrize(
    "measure",
    [
        dlt.measure.homogeneity,
        dlt.measure.homogeneity_breakers,
        dlt.measure.translation_error,
        lambda model, images: dlt.measure.local_filters(model, images[0], [(1, 1)]),
        lambda model, images: dlt.measure.jacobian(model, images[0, :4, :4]),
    ],
)
def test_instruments_measure_in_full_float32(measure):
    listener = Listener()
    model = keras.Sequential([keras.Input((None, None, 1)), listener])
    images = np.ones((1, 32, 32, 1), "float32")
    listener.heard.clear()
    model(images)
    assert listener.heard == [True]  # the control: without an instrument it may round
    listener.heard.clear()
    measure(model, images)
    assert listener.heard
    assert not any(listener.heard)
    assert rounds()


def test_a_chapter_starts_with_it():
    take_back = use_full_float32()
    take_back()
    dlt.training.start()
    assert not rounds()
    take_back()
