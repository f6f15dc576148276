"""The denoiser's trainer: colour begins where grey has ended."""

import numpy as np
import safetensors.numpy
from keras import ops

from benchmarks.bsds_denoiser import begin_with
from dlt.models import create_denoiser
from tests.helpers import randomise

SMALL = {"filters": (4, 8), "blocks": (1, 1)}


def test_weights_of_grey_do_to_each_channel_of_a_grey_picture_what_they_do_to_grey(tmp_path, rng):
    grey, color = randomise(create_denoiser(1, **SMALL)), create_denoiser(3, **SMALL)
    weights = {weight.path: ops.convert_to_numpy(weight) for weight in grey.weights}
    safetensors.numpy.save_file(weights, tmp_path / "grey.safetensors")
    begin_with(color, tmp_path / "grey.safetensors")
    images = rng.random((2, 12, 9, 1), dtype="float32")
    expected = np.repeat(ops.convert_to_numpy(grey(images)), 3, axis=-1)
    np.testing.assert_allclose(color(np.repeat(images, 3, axis=-1)), expected, rtol=1e-4, atol=1e-5)
    assert not np.allclose(expected, np.repeat(images, 3, axis=-1), atol=1e-3)
