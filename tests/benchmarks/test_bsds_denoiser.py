"""The denoiser's trainer: colour begins where grey has ended."""

import numpy as np
import pytest
import safetensors.numpy
from keras import ops

import dlt
from benchmarks.bsds_denoiser import Middles, begin_with, psnr
from dlt.models import create_denoiser
from tests.helpers import randomise, shared

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


@pytest.mark.slow
@pytest.mark.parametrize(("channels", "name"), [(1, "grey"), (3, "color")])
def test_stored_in_float16_the_weights_are_as_good_as_they_were_in_training(channels, name):
    """To a hundredth of a decibel: there the averages were float32, and multiplied in bfloat16."""
    photos = dlt.data.bsd(shared("data/bsds500_images.zip"), "BSDS500", color=channels == 3)["validation"]
    model, middles = create_denoiser(channels, pretrained=True), Middles(photos)
    values = [
        psnr(clean, model.predict(noisy, batch_size=4, verbose=0))
        for noisy, clean in map(middles.__getitem__, range(3))
    ]
    trained = dlt.show.stored(f"denoiser_{name}")["history"]["val_psnr"][-1]
    assert abs(np.mean([ops.convert_to_numpy(value) for value in values]) - trained) < 0.01
