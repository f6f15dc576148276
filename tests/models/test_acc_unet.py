"""ACC-UNet: the published network by its size, by the golden file and by its plain form, for fewer multiply-adds."""

import keras
import numpy as np
import pytest
from keras import ops

from benchmarks.plain_acc_unet import copy_weights, plain_acc_unet
from dlt.convert import load_weights
from dlt.measure import activation_memory, macs
from dlt.models import AccUNet, create_acc_unet, create_acc_unet_binary, create_acc_unet_multiclass
from tests.helpers import GOLDENS, randomise

SMALL = {"base_filters": 4, "mlfc_iterations": 1, "expansion": 3}


def trainable(model):
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


def photo(*sides, channels=3, batch=1):
    return np.random.default_rng(0).random((batch, *sides, channels)).astype("float32")


@pytest.fixture(scope="module")
def small():
    """One network for all tests that only look at it: each takes seconds to build."""
    return AccUNet(**SMALL)


@pytest.fixture(scope="module")
def eight():
    """One network for all tests that load its weights."""
    return AccUNet(base_filters=8)


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDENS / "acc_unet_filters8.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def state(golden):
    return {name.removeprefix("state/"): array for name, array in golden.items() if name.startswith("state/")}


@pytest.mark.parametrize(
    ("filters", "count"),
    [(16, 4_257_715), (32, 16_771_245), (64, 66_566_689)],
)
@pytest.mark.usefixtures("without_numbers")
def test_published_size(filters, count):
    model = AccUNet(base_filters=filters)
    assert trainable(model) == count
    if filters == 32:
        assert model.count_params() == 16_870_941
        assert trainable(AccUNet(mlfc_iterations=2)) == count - 479_060
        assert round((count - trainable(AccUNet(expansion=3))) / 1e6, 2) == 3.11


def test_the_golden_file(golden, state, eight):
    """Weights by the original's names and in its channel order; five activations and the output are the original's."""
    model = eight
    report = load_weights(model, {**state, "cnv11.norm1.num_batches_tracked": np.array(7)})
    assert (report.source, report.skipped) == ("ACC-UNet", {})
    assert list(report.unused) == ["cnv11.norm1.num_batches_tracked"]
    assert "a count, which no layer needs" in repr(report)
    assert sorted(report.loaded) == sorted(weight.path for weight in model.weights)
    ours = {
        "activation/cnv12": model.get_layer("encoder_0_block_1").output,
        "activation/cnv32": model.get_layer("encoder_2_block_1").output,
        "activation/rspth1": model.get_layer("respath_0").output,
        "activation/mlfc1": model.get_layer("mlfc_0").output[0],
        "activation/cnv72": model.get_layer("decoder_2_block_1").output,
        "y": model.output,
    }
    found = keras.Model(model.input, ours)(golden["x"].transpose(0, 2, 3, 1))
    for name, value in found.items():
        np.testing.assert_allclose(ops.convert_to_numpy(value), golden[name].transpose(0, 2, 3, 1), atol=1e-4, rtol=0)


def test_the_channel_order_matters(golden, state, eight):
    """The control: with a kernel as it stands in the file, the second block gives another map."""
    model = eight
    load_weights(model, state)
    weights = {weight.path: weight for weight in model.weights}
    weights["encoder_0_block_0/hanc/project/conv/kernel"].assign(state["cnv11.hnc.cnv.weight"].transpose(2, 3, 1, 0))
    start = keras.Model(model.input, model.get_layer("encoder_0_block_1").output)
    found = ops.convert_to_numpy(start(golden["x"].transpose(0, 2, 3, 1)))
    assert np.abs(found - golden["activation/cnv12"].transpose(0, 2, 3, 1)).max() > 1e-2


def test_weights_that_do_not_fit_are_refused(state, small):
    with pytest.raises(ValueError, match="do not fit"):
        load_weights(small, state)


def pair(state, dtype):
    """Return the package's network and the plain one, both with the golden file's weights."""
    keras.config.set_dtype_policy(dtype)
    ours, plain = AccUNet(base_filters=8), plain_acc_unet(base_filters=8)
    load_weights(ours, state)
    copy_weights(ours, plain)
    assert len(ours.weights) == len(plain.weights)
    return ours, plain


def test_it_is_the_plain_network(state):
    """In float32 both are 1e-5 from the original, and from each other; in float64 nothing is left of that.

    In training, normalizations divide by the spread of a few pixels, which magnifies any rounding.
    """
    # JAX computes in float32, and on PyTorch Keras takes a variance as E[x^2] - E[x]^2, which loses the digits again.
    exact = keras.backend.backend() == "tensorflow"
    ours, plain = pair(state, "float64" if exact else "float32")
    for training, tolerance in ((False, 1e-11), (True, 1e-6)) if exact else ((False, 2e-5),):
        for sides in ((16, 16), (32, 48)):
            x = photo(*sides, batch=2)
            a, b = (ops.convert_to_numpy(net(x, training=training)) for net in (ours, plain))
            assert np.abs(a - b).max() <= tolerance * np.abs(b).max()
            assert b.std() > 0.01


@pytest.mark.usefixtures("without_numbers")
def test_it_costs_half_of_the_plain_network():
    ours, plain = macs(AccUNet(), (224, 224, 3)), macs(plain_acc_unet(), (224, 224, 3))
    assert round(plain.giga, 3) == 42.964
    assert round(ours.giga, 3) == 23.451
    assert ours.uncounted == plain.uncounted == ()


def test_its_maps_take_less_memory(eight):
    ours, plain = (activation_memory(net, (64, 64, 3)) for net in (eight, plain_acc_unet(base_filters=8)))
    assert ours.peak < 0.6 * plain.peak
    assert ours.total < plain.total


@pytest.mark.slow
def test_sizes(small):
    for sides in ((16, 16), (48, 32)):
        assert tuple(small(photo(*sides)).shape) == (1, *sides, 1)
    assert AccUNet(input_shape=sides, **SMALL).output.shape == (None, *sides, 1)


@pytest.mark.slow
def test_sizes_that_change_in_a_graph(small):
    """After a second size, TensorFlow's graph knows no sides at all."""
    model = small
    for sides in ((16, 16), (32, 48), (64, 16)):
        x = photo(*sides)
        np.testing.assert_allclose(model.predict(x, verbose=0), ops.convert_to_numpy(model(x)), atol=1e-5)
    with pytest.raises(ValueError, match="nearest that work: 32 or 48 and 16"):
        model.predict(photo(40, 16), verbose=0)


@pytest.mark.slow
def test_classes():
    model = create_acc_unet_multiclass(3, 5, **SMALL)
    y = ops.convert_to_numpy(model(photo(16, 32)))
    assert y.shape == (1, 16, 32, 5)
    np.testing.assert_allclose(y.sum(-1), 1, atol=1e-5)
    binary = create_acc_unet_binary(1, (16, 16), **SMALL)
    assert 0 < ops.convert_to_numpy(ops.min(binary(photo(16, 16, channels=1)))) < 1
    assert create_acc_unet(1, 3, final_activation="linear", **SMALL).output.shape == (None, None, None, 3)


def test_pretrained_keeps_what_fits(tmp_path, caplog):
    trained = randomise(create_acc_unet(3, 5, **SMALL))
    trained.save(tmp_path / "model.keras")
    fresh = create_acc_unet(1, 2, pretrained=tmp_path / "model.keras", **SMALL)
    assert "output" in caplog.text
    for name, same in (("bottleneck_block_0", True), ("output", False)):
        a, b = (model.get_layer(name).get_weights()[0] for model in (trained, fresh))
        assert np.array_equal(a, b) == same


@pytest.mark.slow
def test_regularizer_reaches_every_convolution():
    model = AccUNet(kernel_regularizer="l2", **SMALL)
    kernels = [weight for weight in model.weights if len(weight.shape) == 4]
    assert len(model.losses) == len(kernels)
    again = AccUNet.from_config(model.get_config())
    assert again.get_config() == model.get_config()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"input_shape": (100, 64)}, "multiples of 16.*nearest that work: 96 or 112 and 64"),
        ({"input_shape": (64, 8)}, "nearest that work: 64 and 16"),
        ({"input_shape": (64,)}, "two whole numbers, or None"),
        ({"num_classes": 0}, "num_classes=0"),
    ],
)
def test_bad_arguments(arguments, words):
    with pytest.raises(ValueError, match=words) as caught:
        AccUNet(**{**SMALL, **arguments})
    assert "Received: " in str(caught.value)


def test_softmax_over_one_class_is_refused():
    with pytest.raises(ValueError, match="num_classes of at least 2"):
        create_acc_unet_multiclass(3, 1)


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((1, 100, 64, 3), "nearest that work: 96 or 112 and 64"),
        ((64, 64, 3), "batches of images"),
        ((1, 64, 64, 1), r"Expected 3 channels.*Received: shape=\(1, 64, 64, 1\)"),
    ],
)
def test_bad_images(shape, words, small):
    model = small
    model.compile("sgd", "mse")
    x = np.zeros(shape, "float32")
    calls = {
        "eager": lambda: model(x),
        "symbolic": lambda: model(keras.KerasTensor(shape)),
        "predict": lambda: model.predict(x, verbose=0),
        "fit": lambda: model.fit(x, x[..., :1], verbose=0),
    }
    for call in calls.values():
        with pytest.raises(ValueError, match=words):
            call()
