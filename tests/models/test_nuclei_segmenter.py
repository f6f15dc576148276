"""The networks for nuclei: those that are shipped find nuclei they never saw, a randomly initialised one does not."""

import keras
import numpy as np
import pytest

from dlt.data import nuclei_crops, nuclei_view
from dlt.metrics import dice_coefficient
from dlt.models import create_nuclei_segmenter
from dlt.models.nuclei_segmenter import NETWORKS


def dice(model):
    """Return the mean Dice coefficient on six pieces of the test images."""
    crops = nuclei_crops()
    views = np.stack([nuclei_view(image, color=model.input_shape[-1] == 3) for image in crops.images])
    masks = keras.ops.convert_to_numpy(model(views))[..., :1]
    return float(np.mean(keras.ops.convert_to_numpy(dice_coefficient(np.stack(crops.labels) > 0, masks))))


@pytest.mark.parametrize("network", NETWORKS)
def test_shipped_weights_find_nuclei_they_never_saw(network):
    assert dice(create_nuclei_segmenter(network, pretrained="nuclei")) > 0.75
    keras.utils.set_random_seed(0)
    assert dice(create_nuclei_segmenter(network)) < 0.6


def test_weights_of_ones_own(tmp_path):
    model = create_nuclei_segmenter()
    model.save_weights(tmp_path / "own.weights.h5")
    again = create_nuclei_segmenter(pretrained=tmp_path / "own.weights.h5")
    for one, two in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_bad_arguments():
    with pytest.raises(ValueError, match="'unet', 'convunext', 'acc_unet'"):
        create_nuclei_segmenter("vit")
    with pytest.raises(FileNotFoundError):
        create_nuclei_segmenter(pretrained="nowhere.weights.h5")
