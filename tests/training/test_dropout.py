"""Where the random numbers of a Dropout come from."""

import keras
import numpy as np
import pytest
from keras import layers, ops

on_torch = pytest.mark.skipif(keras.backend.backend() != "torch", reason="is about PyTorch")


def masks(dropout):
    """Return two masks, each after the same seed for PyTorch's own generator, and the state in Keras between them."""
    import torch

    found = []
    for _ in range(2):
        torch.manual_seed(1)
        found.append(ops.convert_to_numpy(dropout(np.ones((8, 64), "float32"), training=True)))
        (state,) = map(ops.convert_to_numpy, dropout.variables)
        found.append(state.copy())
    return found


@on_torch
def test_an_unseeded_dropout_draws_from_pytorchs_own_generator():
    one, state, other, later = masks(layers.Dropout(0.5))
    np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(state, later)  # no variable of Keras knows of the draw
    assert 0 < np.mean(one == 0) < 1


@on_torch
def test_a_seeded_one_draws_from_its_variable():
    one, state, other, later = masks(layers.Dropout(0.5, seed=23))
    assert np.any(one != other)
    assert (state[1], later[1]) == (1, 2)
