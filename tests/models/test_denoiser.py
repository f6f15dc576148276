"""The denoiser of dense convolutions: what it starts as, its scale, its cost and its size."""

import keras
import numpy as np
import pytest

import dlt
from dlt.models import ResidualUNet, create_denoiser
from tests.helpers import randomise

SMALL = {"filters": (4, 8), "blocks": (1, 1)}


def test_randomly_initialised_it_changes_nothing(rng):
    images = rng.random((2, 9, 7, 3), dtype="float32")
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(create_denoiser(3, **SMALL)(images)), images)


def test_it_keeps_the_scale_and_its_twin_does_not(rng):
    images = rng.random((2, 9, 7, 1), dtype="float32")
    for use_bias in (False, True):
        model = create_denoiser(use_bias=use_bias, **SMALL)
        randomise(model)
        error = dlt.measure.homogeneity(model, images, (0.01, 0.5, 2.0, 100.0)).equivariance_error
        assert (error > 1e-2) if use_bias else (error < 1e-5)
    assert dlt.measure.homogeneity_breakers(create_denoiser(**SMALL)) == ()


def test_size_and_cost():
    """By hand: 3x3 kernels of the blocks, 2x2 down, 1x1 up, stem and output; each level's maps have their own size."""
    filters, blocks = (8, 16, 32), (2, 1, 1)
    convolutions = [(9 * filters[level] ** 2 * 2 * blocks[level], level) for level in range(3)]
    convolutions += convolutions[:-1]  # the decoder's
    convolutions += [(4 * 8 * 16, 1), (4 * 16 * 32, 2), (8 * 16, 1), (16 * 32, 2), (9 * 8, 0), (9 * 8, 0)]
    model = ResidualUNet((64, 64, 1), filters, blocks)
    assert dlt.measure.parameters(model).total == sum(weights for weights, _ in convolutions)
    assert dlt.measure.macs(model).total == sum(weights * (64 >> level) ** 2 for weights, level in convolutions)


def test_mixed_precision_gives_float32(rng):
    model = create_denoiser(dtype="mixed_bfloat16", **SMALL)
    assert keras.backend.standardize_dtype(model(rng.random((1, 8, 8, 1), dtype="float32")).dtype) == "float32"


def test_one_level_has_no_decoder():
    assert [layer.name for layer in ResidualUNet(filters=(4,), blocks=(1,)).layers if "up" in layer.name] == []


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"filters=\(\), blocks=\(\)"):
        ResidualUNet(filters=(), blocks=())


@pytest.mark.parametrize("channels", [1, 3])
def test_the_weights_of_the_package_keep_the_scale_and_denoise(channels):
    model = create_denoiser(channels, pretrained=True)
    clean = dlt.data.photos("coffee")["coffee"][60:124, 200:264].astype("float32") / 255
    clean = clean[None] if channels == 3 else clean.mean(-1, keepdims=True)[None]
    for sigma in (10, 25, 50, 100):
        noise = np.random.default_rng(sigma).standard_normal(clean.shape) * sigma / 255
        error = keras.ops.convert_to_numpy(model((clean + noise).astype("float32"))) - clean
        assert np.std(error) < 0.6 * np.std(noise)
    given = (clean + noise).astype("float32")
    assert dlt.measure.homogeneity(model, given, (0.01, 0.1, 10.0, 100.0)).equivariance_error < 1e-5


def test_weights_that_the_package_does_not_have():
    for arguments in ({"channels": 2}, {"use_bias": True}):
        with pytest.raises(ValueError, match="no such weights"):
            create_denoiser(pretrained=True, **arguments)
    with pytest.raises(ValueError, match="filters"):
        create_denoiser(filtres=(4, 8))
