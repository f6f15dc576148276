import importlib

import keras
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


def test_instruments_measure_in_full_float32():
    seen = []

    def network(x):
        seen.append(rounds())
        return x

    image = keras.ops.ones((1, 32, 32, 1))
    dlt.measure.homogeneity(network, image)
    dlt.measure.translation_error(network, image)
    assert seen
    assert not any(seen)
    assert rounds()


def test_a_chapter_starts_with_it():
    take_back = use_full_float32()
    take_back()
    dlt.training.start()
    assert not rounds()
    take_back()
