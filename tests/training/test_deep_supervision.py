"""Target pyramids match the outputs of the network, images by averages, labels by picking."""

import keras
import numpy as np
import pytest

from dlt.data import NoisyPatches, photos
from dlt.models import ConvUNextModel
from dlt.training import DeepSupervision, supervision_weights, target_pyramid


def test_images_are_averaged_and_labels_picked():
    image = np.array([[0, 2, 10], [4, 6, 20], [8, 8, 30]], "float32").reshape(1, 3, 3, 1)
    _, half, quarter = target_pyramid(image, 3)
    np.testing.assert_array_equal(half[0, ..., 0], [[3, 15], [8, 30]])
    np.testing.assert_array_equal(quarter.ravel(), [14])
    labels = image.astype("int32")
    _, half, quarter = target_pyramid(labels, 3, labels=True)
    np.testing.assert_array_equal(half[0, ..., 0], [[0, 10], [8, 30]])
    assert quarter.dtype == np.int32
    assert set(quarter.ravel()) <= set(labels.ravel())


@pytest.mark.parametrize("sides", [(16, 16), (13, 6), (1, 5)])
def test_the_pyramid_fits_the_outputs(sides):
    model = ConvUNextModel((*sides, 1), depth=3, initial_filters=4, blocks_per_level=1, enable_deep_supervision=True)
    shapes = [level.shape[1:] for level in target_pyramid(np.zeros((2, *sides, 1)), 3)]
    assert shapes == [output.shape[1:] for output in model.outputs]


def test_fit_with_noisy_patches():
    model = ConvUNextModel(
        (None, None, 1), depth=2, initial_filters=4, blocks_per_level=1, enable_deep_supervision=True
    )
    patches = NoisyPatches([photos("camera")["camera"]], size=16, batch_size=4, steps=8)
    data = DeepSupervision(patches, levels=2)
    assert len(data) == 8
    model.compile(keras.optimizers.Adam(3e-3), ["mse", "mse"], loss_weights=supervision_weights(2))
    history = model.fit(data, epochs=3, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert patches.epoch >= 3  # the wrapped data set hears of every epoch


def test_bad_arguments():
    with pytest.raises(ValueError, match="levels=0"):
        target_pyramid(np.zeros((1, 4, 4, 1)), 0)
    with pytest.raises(ValueError, match="batches of images"):
        target_pyramid(np.zeros((4, 4, 1)), 2)
    with pytest.raises(ValueError, match="levels=-1"):
        supervision_weights(-1)
