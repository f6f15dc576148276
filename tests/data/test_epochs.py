"""A training that goes on sees the batches that would have come, whatever stopped it."""

import keras
import numpy as np
import pytest

from dlt.data import NoisyPatches, SegmentationPatches
from dlt.training import DeepSupervision


def patches(steps, epoch=0, **kwargs):
    images = [np.random.default_rng(1).random((20, 24, 1)).astype("float32")]
    return NoisyPatches(images, (25, 50), 8, 2, steps, epoch=epoch, **kwargs)


def masks(steps, epoch=0, **kwargs):
    images = [np.random.default_rng(1).random((20, 24, 1)).astype("float32")]
    return SegmentationPatches(images, images, 8, 2, steps, epoch=epoch, **kwargs)


def network():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(1, 3, padding="same")])
    model.compile("sgd", "mse", jit_compile=False)
    return model


def test_the_order_is_kerass_unless_told_otherwise():
    """`fit` shuffles the batches of an epoch by Python's own random numbers."""
    models = [network() for _ in range(3)]
    for model, options in zip(models, ({"shuffle": False}, {"shuffle": False}, {}), strict=True):
        model.fit(patches(20), verbose=0, **options)
    assert equal(*models[:2])
    assert not equal(*models[1:])


def equal(model, other):
    return all((a == b).all() for a, b in zip(model.get_weights(), other.get_weights(), strict=True))


@pytest.mark.parametrize(("data", "steps"), [(patches, 1), (patches, 2), (patches, 7), (masks, 7)])
def test_two_and_two_epochs_are_four(data, steps):
    whole, again, fresh, wrong = (network() for _ in range(4))
    whole.fit(data(steps), epochs=4, verbose=0, shuffle=False)
    same = data(steps)
    for model, later in ((again, same), (fresh, data(steps, epoch=2)), (wrong, data(steps))):
        model.fit(same if model is again else data(steps), epochs=2, verbose=0, shuffle=False)
        model.fit(later, epochs=4, initial_epoch=2, verbose=0, shuffle=False)
    assert equal(whole, again)  # the same object goes on by itself
    assert equal(whole, fresh)  # another one is told where
    assert not equal(whole, wrong)  # the control


def test_a_model_compiled_anew_changes_nothing():
    whole, model, data = network(), network(), patches(7)
    whole.fit(patches(7), epochs=4, verbose=0, shuffle=False)
    model.fit(data, epochs=2, verbose=0, shuffle=False)
    after = network()
    after.set_weights(model.get_weights())
    after.fit(data, epochs=4, initial_epoch=2, verbose=0, shuffle=False)
    assert equal(whole, after)


@pytest.mark.parametrize("workers", [{"workers": 3}, {"workers": 2, "use_multiprocessing": True}])
def test_workers_change_nothing(workers):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("on JAX and PyTorch, `fit` first hands out what several workers drew when it looked at a batch")
    whole, model = network(), network()
    whole.fit(patches(5), epochs=4, verbose=0, shuffle=False)
    model.fit(patches(5, **workers), epochs=2, verbose=0, shuffle=False)
    model.fit(patches(5, epoch=2, **workers), epochs=4, initial_epoch=2, verbose=0, shuffle=False)
    assert equal(whole, model)


def test_a_loop_by_hand_and_a_wrapped_data_set():
    data = DeepSupervision(patches(3), levels=2)
    for epoch in range(3):
        assert data.dataset.epoch == epoch
        assert len(list(data)) == 3
        data.on_epoch_end()
    data.on_epoch_end()  # nothing was drawn: this is no end
    assert data.dataset.epoch == 3
