"""The blind denoiser: it subtracts what it takes for noise, keeps the scale, and trains with Keras's own means."""

import keras
import numpy as np
import pytest
from keras import ops

from dlt.data import NoisyPatches, photos
from dlt.measure import homogeneity, local_filters
from dlt.models import ConvUNextModel, create_convunext_denoiser
from dlt.models.convunext_denoiser import SHIPPED
from tests.helpers import randomise

TINY = {"depth": 2, "initial_filters": 4}


def photo(height=24, width=17, channels=1):
    return np.random.default_rng(0).random((1, height, width, channels)).astype("float32")


def patches(sigma=(0, 55), steps=4):
    return NoisyPatches([photos()["camera"][..., :1]], sigma, size=16, batch_size=4, steps=steps)


def small(**kwargs):
    return create_convunext_denoiser(**TINY, **kwargs)


@pytest.mark.parametrize("channels", [1, 3])
def test_it_subtracts_an_estimate_of_the_noise(channels):
    model = randomise(small(channels=channels))
    x = photo(channels=channels)
    noise = model.get_layer("noise")
    np.testing.assert_allclose(ops.convert_to_numpy(model(x)), x - ops.convert_to_numpy(noise(x)), rtol=1e-5, atol=1e-6)


def test_without_bias_it_keeps_the_scale_and_is_a_linear_filter_at_every_image():
    model = randomise(small())
    assert homogeneity(model, photo()).equivariance_error <= 1e-5
    assert local_filters(model, photo()[0], [(3, 4), (20, 9)]).error <= 1e-4


def test_with_bias_it_does_not():
    model = randomise(small(use_bias=True))
    assert homogeneity(model, photo()).equivariance_error > 1e-2
    assert local_filters(model, photo()[0], [(3, 4), (20, 9)]).error > 1e-2


def test_the_twin_differs_in_its_biases_only():
    shapes = [{weight.path: weight.shape for weight in small(use_bias=use_bias).weights} for use_bias in (False, True)]
    assert {path: shape for path, shape in shapes[1].items() if not path.endswith("bias")} == shapes[0]
    assert len(shapes[1]) > len(shapes[0])


@pytest.mark.parametrize("use_bias", [False, True])
def test_newborn_blocks_are_awake(use_bias):
    """What a block adds is a few percent of its input, not a billionth as in the bare network."""
    x = np.random.default_rng(0).normal(size=(2, 24, 24, 4)).astype("float32")
    bare = ConvUNextModel((None, None, 1), convnext_version="v1", blocks_per_level=1, drop_path_rate=0.0, **TINY)
    blocks = [network.get_layer("encoder_0_block_0") for network in (small(use_bias=use_bias).get_layer("noise"), bare)]
    awake, asleep = (np.std(ops.convert_to_numpy(block(x)) - x) / np.std(x) for block in blocks)
    assert 0.01 < awake < 0.5
    assert asleep < 1e-6


def test_weights_go_through_a_file(tmp_path):
    model = randomise(small())
    model.save_weights(tmp_path / "denoiser.weights.h5")
    model.save(tmp_path / "denoiser.keras")
    again = small(pretrained=tmp_path / "denoiser.weights.h5")
    whole = keras.saving.load_model(tmp_path / "denoiser.keras")
    for other in (again, whole):
        np.testing.assert_array_equal(ops.convert_to_numpy(other(photo())), ops.convert_to_numpy(model(photo())))


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"grey images only.*create_denoiser\(3, pretrained=True\)"):
        create_convunext_denoiser(channels=3, pretrained=True)
    with pytest.raises(ValueError, match="breaks the scale"):
        create_convunext_denoiser(activation="gelu")
    with pytest.raises(ValueError, match="Expected"):
        create_convunext_denoiser(pretrained=True, initial_filters=5)


def gain(name, use_bias, sigma):
    """Return how many dB of the noise shipped weights take away from a photo they never saw."""
    clean = photos()["camera"][200:296, 200:296, :1] / 255
    noisy = clean + sigma / 255 * np.random.default_rng(0).standard_normal(clean.shape)
    model = create_convunext_denoiser(pretrained=name, use_bias=use_bias)
    errors = [np.mean((estimate - clean) ** 2) for estimate in (model.predict(noisy[None], verbose=0)[0], noisy)]
    return 10 * np.log10(errors[1] / errors[0])


@pytest.mark.parametrize("use_bias", [False, True])
@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_weights_denoise_a_photo_they_never_saw(name, use_bias):
    """Within the range of its training every one of them takes noise away; at least 2 dB of it at its upper end."""
    assert gain(name, use_bias, sigma=int(name.rpartition("_")[2])) > 2


def test_far_beyond_its_training_noise_only_the_bias_free_one_works():
    assert gain("sigma_10", use_bias=False, sigma=50) > 5
    assert gain("sigma_10", use_bias=True, sigma=50) < 1


@pytest.mark.parametrize(
    "arguments",
    [{"gradient_accumulation_steps": 2}, {"use_ema": True, "ema_momentum": 0.9}, {"clipnorm": 1.0}],
    ids=lambda arguments: next(iter(arguments)),
)
def test_the_optimizer_may_accumulate_average_and_clip(arguments):
    model = small()
    model.compile(keras.optimizers.AdamW(1e-3, **arguments), "mse")
    history = model.fit(patches(), epochs=3, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]


def test_accumulated_gradients_are_those_of_the_larger_batch():
    models = [small(), small()]
    models[1].set_weights(models[0].get_weights())
    x, y = patches()[0]
    models[0].compile(keras.optimizers.SGD(0.1), "mse")
    models[0].train_on_batch(x, y)
    models[1].compile(keras.optimizers.SGD(0.1, gradient_accumulation_steps=2), "mse")
    for half in (slice(2), slice(2, None)):
        models[1].train_on_batch(x[half], y[half])
    for one, two in zip(models[0].get_weights(), models[1].get_weights(), strict=True):
        np.testing.assert_allclose(two, one, atol=1e-6)


def test_rematerialisation_changes_memory_and_nothing_else():
    """Layers built inside the scope are marked. (With mode="full", Keras fails on TensorFlow for any functional model
    inside another.)"""
    plain = small()
    with keras.RematScope(mode="list_of_layers", layer_names=["encoder_0_block_0", "decoder_0_block_0"]):
        model = small()
    marked = [layer.name for layer in model.get_layer("noise").layers if layer._remat_mode is not None]
    assert {"encoder_0_block_0", "decoder_0_block_0"} <= set(marked)
    model.set_weights(plain.get_weights())
    for one in (plain, model):
        one.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=False)
        one.train_on_batch(*patches()[0])
    for one, two in zip(plain.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(two, one, atol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_learns(policy):
    """The reference expects it to fail; nothing here does."""
    model = small(dtype=policy)
    assert isinstance(model.get_layer("noise"), ConvUNextModel)
    model.compile(keras.optimizers.Adam(1e-3), "mse")
    history = model.fit(patches(), epochs=3, verbose=0).history
    assert np.all(np.isfinite(history["loss"]))
    assert history["loss"][-1] < history["loss"][0]
