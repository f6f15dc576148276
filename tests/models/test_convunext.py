"""ConvUNext: its sizes, its promise about scale, any image size, and the algebra of its decoder."""

import itertools
import math

import keras
import numpy as np
import pytest
from keras import layers, ops

from dlt.layers import ConvUNextStem, UpsampleLike
from dlt.layers.upsample_like import bilinear
from dlt.measure import homogeneity, homogeneity_breakers, macs, parameters
from dlt.models import ConvUNextModel, create_convunext_variant, create_inference_model_from_training_model
from tests.helpers import randomise

SMALL = {"depth": 2, "initial_filters": 8, "blocks_per_level": 1, "input_shape": (None, None, 1)}
PUBLISHED = {"tiny": 1.93, "small": 4.28, "base": 44.1, "large": 130.6, "xlarge": 1149.5}  # million, RGB, bias-free V2


def photo(height, width, channels=1, batch=1):
    return np.random.default_rng(0).random((batch, height, width, channels)).astype("float32")


def formula(depth, initial_filters, blocks_per_level, grn_beta=False, **_):
    """The parameters of an RGB to RGB network of V2 blocks without biases, counted on paper."""
    widths = [initial_filters * 2**level for level in range(depth + 1)]
    block = [8 * w * w + (49 + 1 + 4 + 4 * grn_beta) * w for w in widths]
    mixing = sum(a * b + (a + b) * a for a, b in itertools.pairwise(widths))
    stem_and_head = (49 * 3 + 1 + 3) * initial_filters
    return blocks_per_level * (2 * sum(block[:-1]) + block[-1]) + mixing + stem_and_head


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["tiny", "small", "base"])
def test_published_size(variant):
    assert parameters(create_convunext_variant(variant)).total == formula(**ConvUNextModel.MODEL_VARIANTS[variant])


@pytest.mark.parametrize("variant", PUBLISHED)
def test_the_formula_gives_the_published_sizes(variant):
    """They count GRN's beta, 4 numbers per channel and block, which a network without bias must not have."""
    count = formula(**ConvUNextModel.MODEL_VARIANTS[variant], grn_beta=True) / 1e6
    digits = len(str(PUBLISHED[variant]).partition(".")[2])
    assert round(count, digits) == PUBLISHED[variant]


@pytest.mark.parametrize("options", [{}, {"convnext_version": "v1"}, {"scale_equivariant": True}])
def test_without_bias_no_weight_is_added(options):
    model = ConvUNextModel(**SMALL, **options)
    names = {weight.name for weight in model.weights}
    assert names
    assert not [name for name in names if "bias" in name or "beta" in name or "mean" in name]
    assert [weight for weight in ConvUNextModel(**SMALL, use_bias=True).weights if weight.name in ("bias", "beta")]


@pytest.mark.parametrize("sides", [(1, 1), (1, 9), (2, 3), (15, 10), (33, 64), (37, 21)])
def test_any_size(sides):
    model = ConvUNextModel(**SMALL, enable_deep_supervision=True)
    outputs = model(photo(*sides))
    halves = [tuple(math.ceil(side / 2**level) for side in sides) for level in range(2)]
    assert [tuple(output.shape[1:3]) for output in outputs] == halves
    fixed = ConvUNextModel(**{**SMALL, "input_shape": (*sides, 1)})
    assert fixed.output.shape == (None, *sides, 1)
    assert fixed.predict(photo(*sides), verbose=0).shape == (1, *sides, 1)


def test_images_of_many_sizes_one_after_the_other():
    """After the second size, TensorFlow traces a graph that does not know the sides."""
    model = ConvUNextModel(**SMALL)
    for sides in [(12, 9), (7, 16), (1, 5), (20, 20)]:
        found = model.predict_on_batch(photo(*sides))
        np.testing.assert_allclose(found, ops.convert_to_numpy(model(photo(*sides))), atol=1e-5)


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("normalization", [None, "bias_free_batch"])
def test_scale_equivariant_is_exact_before_and_after_training(version, normalization):
    options = {"scale_equivariant": True, "normalization": normalization, "convnext_version": version}
    model = ConvUNextModel(**SMALL, **options, drop_path_rate=0.2)
    randomise(model)
    assert homogeneity(model, photo(19, 12)).equivariance_error <= 1e-5
    model.compile("adam", "mse")
    model.fit(photo(16, 16, batch=8), photo(16, 16, batch=8), epochs=2, verbose=0)
    result = homogeneity(model, photo(31, 18))
    assert result.equivariance_error <= 1e-5
    assert result.verdict == "equivariant"
    assert homogeneity_breakers(model, photo(8, 8)) == ()


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["tiny", "small", "base"])
def test_scale_equivariant_at_every_size_of_network(variant):
    model = create_convunext_variant(variant, (None, None, 1), scale_equivariant=True)
    assert homogeneity(model, photo(21, 34)).equivariance_error <= 1e-5


def test_the_bias_free_design_with_layer_norm_forgets_the_scale():
    """The claim that it keeps the scale is wrong: the error is |1 - a| / a."""
    result = homogeneity(ConvUNextModel(**SMALL), photo(32, 32), scales=(0.5, 2, 10))
    np.testing.assert_allclose(result.equivariance, [1.0, 0.5, 0.9], rtol=0.02)
    kinds = {breaker.kind for breaker in homogeneity_breakers(ConvUNextModel(**SMALL), photo(16, 16))}
    assert {"LayerNormalization", "Activation"} <= kinds


def test_the_algebra_is_the_same_function_for_less():
    """A 1x1 convolution of [upsampled, skip] is the sum of two, one of them before the upsampling."""
    coarse, fine = keras.Input((8, 8, 32)), keras.Input((15, 16, 16))
    plain_mix = layers.Dense(16, use_bias=False)
    joined = layers.Concatenate()([UpsampleLike()([coarse, fine]), fine])
    plain = keras.Model([coarse, fine], plain_mix(joined))
    below, beside = layers.Dense(16, use_bias=False), layers.Dense(16, use_bias=False)
    cheap = keras.Model([coarse, fine], layers.Add()([UpsampleLike()([below(coarse), fine]), beside(fine)]))
    kernel = ops.convert_to_numpy(plain_mix.kernel)
    below.kernel.assign(kernel[:32])
    beside.kernel.assign(kernel[32:])
    x = [photo(8, 8, 32), photo(15, 16, 16)]
    np.testing.assert_allclose(cheap.predict(x, verbose=0), plain.predict(x, verbose=0), atol=1e-5)
    assert macs(plain).total == 15 * 16 * (32 + 16) * 16
    assert macs(cheap).total == 8 * 8 * 32 * 16 + 15 * 16 * 16 * 16


def test_deep_supervision_and_its_inference_model():
    training = ConvUNextModel(**SMALL, enable_deep_supervision=True)
    training.compile("adam", ["mse", "mse"], loss_weights=[1.0, 0.5])
    targets = [photo(12, 12, batch=2), photo(6, 6, batch=2)]
    history = training.fit(photo(12, 12, batch=2), targets, epochs=2, verbose=0).history
    assert history["loss"][1] < history["loss"][0]
    single = create_inference_model_from_training_model(training)
    x = photo(13, 9)
    np.testing.assert_allclose(ops.convert_to_numpy(single(x)), ops.convert_to_numpy(training(x)[0]), atol=1e-6)
    assert len(single.layers) < len(training.layers)
    again = create_inference_model_from_training_model(single)
    np.testing.assert_array_equal(ops.convert_to_numpy(again(x)), ops.convert_to_numpy(single(x)))
    with pytest.raises(ValueError, match="a `ConvUNextModel`"):
        create_inference_model_from_training_model(keras.Sequential([keras.Input((4,)), layers.ReLU()]))


def test_stochastic_depth_grows_over_all_blocks():
    model = ConvUNextModel(**SMALL, drop_path_rate=0.4)
    rates = [layer.drop_path_rate for layer in model.layers if "block" in layer.name]
    np.testing.assert_allclose(rates, np.linspace(0, 0.4, 5))


def test_overrides_and_pretrained(tmp_path):
    model = create_convunext_variant(
        "tiny", (None, None, 1), blocks_per_level=1, initial_filters=4, filter_multiplier=3
    )
    assert model.get_layer("bottleneck_block_0").output.shape[-1] == 4 * 3**3
    model.save_weights(tmp_path / "model.weights.h5")
    arguments = {"blocks_per_level": 1, "initial_filters": 4, "filter_multiplier": 3}
    again = create_convunext_variant("tiny", (None, None, 1), pretrained=tmp_path / "model.weights.h5", **arguments)
    np.testing.assert_array_equal(ops.convert_to_numpy(again(photo(8, 8))), ops.convert_to_numpy(model(photo(8, 8))))
    with pytest.raises(ValueError, match="one of 'tiny', 'small'"):
        create_convunext_variant("huge")


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="Keras compiles with XLA on TensorFlow and JAX only")
def test_xla_gives_the_same():
    model = ConvUNextModel(**SMALL)
    x = photo(11, 14)
    expected = ops.convert_to_numpy(model(x))
    model.compile(jit_compile=True)
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, atol=1e-5)


@pytest.mark.parametrize("sides", [(1, 1), (2, 1), (5, 7)])
def test_upsampling_is_bilinear(sides):
    coarse, fine = photo(*sides, channels=3), photo(*(2 * side for side in sides), channels=1)
    expected = ops.image.resize(coarse, fine.shape[1:3], "bilinear", data_format="channels_last")
    found = ops.convert_to_numpy(UpsampleLike()([coarse, fine]))
    np.testing.assert_allclose(found, ops.convert_to_numpy(expected), atol=1e-6)
    np.testing.assert_allclose(ops.convert_to_numpy(bilinear(ops.convert_to_tensor(coarse))), found, atol=1e-6)


def test_upsampling_refuses_maps_that_do_not_belong_together():
    with pytest.raises(ValueError, match="half of the second's, rounded up"):
        UpsampleLike()([photo(4, 4), photo(9, 8)])
    with pytest.raises(ValueError, match="batches of images"):
        ConvUNextStem(4)(np.zeros((8, 8, 3), "float32"))
