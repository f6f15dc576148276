"""timm's own networks: every ConvNeXt it has loads and computes the same, or is refused with the reason."""

import importlib.util
import math

import keras
import numpy as np
import pytest
from keras import ops

from dlt.convert import load_weights
from dlt.models import ConvNeXtV1, ConvNeXtV2, create_convnext_v2
from tests.convert.timm_alone import import_timm

if keras.backend.backend() != "torch" or importlib.util.find_spec("timm") is None:
    pytest.skip("compares with timm on PyTorch: make test-backends", allow_module_level=True)

import torch

OTHER = {  # what our networks do not have -> the word in the error
    "convnext_atto_ols": "its stem has several convolutions",
    "convnext_femto_ols": "its stem has several convolutions",
    "convnext_pico_ols": "its stem has several convolutions",
    "convnext_nano_ols": "its stem has several convolutions",
    "convnext_atto_rms": "as RMSNorm",
    "convnext_zepto_rms": "as RMSNorm",
    "convnext_zepto_rms_ols": "its stem has several convolutions",
    "convnext_tiny_hnf": "normalizes before it pools",
    "convnext_large_mlp": "hidden layer",
}
SMALL, LARGE = ("atto", "femto", "pico", "nano"), ("tiny", "small", "base", "large")
SIZES = [  # all that timm 1.0.31 has beside those
    *(f"convnext_{size}" for size in (*SMALL, *LARGE, "xlarge", "xxlarge")),
    *(f"convnextv2_{size}" for size in (*SMALL, *LARGE, "huge")),
]


@pytest.fixture(scope="module")
def timm():
    return import_timm()


@pytest.fixture(autouse=True)
def no_initial_numbers(born_with_zeros):
    """Every number is replaced at once."""


def theirs(timm, name, size=16, **options):
    """Return timm's network with few blocks and narrow layers, each number one that matters."""
    small = {"depths": (1, 1, 2, 1), "dims": (size, 2 * size, 3 * size, 4 * size)}
    with torch.device("meta"):
        network = timm.create_model(name, **{**small, "num_classes": 7, **options})
    network = network.to_empty(device="cpu").eval()
    return fill(network)


def fill(network, seed=0):
    """Give every number of a PyTorch network a value that matters."""
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            weight.normal_(generator=rng)
            if weight.ndim > 1:
                weight /= math.sqrt(math.prod(weight.shape[1:]))
            else:
                weight.mul_(0.3).add_(0 if name.endswith("bias") else 1)
    return network


def ours(name, network, **options):
    """Return our network of the same size."""
    cls = ConvNeXtV2 if name.startswith("convnextv2") else ConvNeXtV1
    stages = [stage.blocks for stage in network.stages]
    config = {
        "depths": [len(blocks) for blocks in stages],
        "dims": [blocks[0].conv_dw.out_channels for blocks in stages],
        "num_classes": 7,
        "input_shape": (64, 64, 3),
        "patch_size": 4,
    }
    return cls(**{**config, **options})


def answers(network, images):
    """Return what a PyTorch network answers to channels-last images."""
    with torch.no_grad():
        answer = network(torch.tensor(images.transpose(0, 3, 1, 2)))
    return [each.numpy() for each in answer] if isinstance(answer, list) else answer.numpy()


@pytest.fixture
def images(rng):
    return rng.normal(size=(2, 64, 64, 3)).astype("float32")


def test_no_name_is_forgotten(timm):
    assert sorted(timm.list_models("convnext*")) == sorted([*SIZES, *OTHER])


@pytest.mark.parametrize("name", SIZES)
def test_logits_are_equal(timm, name, images):
    network = theirs(timm, name)
    model = ours(name, network)
    report = load_weights(model, network.state_dict())
    assert (report.source, report.skipped, report.unused, report.notes) == ("timm", {}, {}, ())
    np.testing.assert_allclose(ops.convert_to_numpy(model(images)), answers(network, images), atol=1e-4)


@pytest.mark.parametrize("name", ["convnext_tiny", "convnextv2_atto"])
def test_features_only(timm, name, images):
    network = theirs(timm, name, features_only=True)
    model = ours(name, theirs(timm, name), include_top=False)
    report = load_weights(model, network.state_dict())
    assert (report.source, report.skipped, report.unused) == ("timm", {}, {})
    maps = model.feature_extractor()(images)
    for mine, yours in zip(maps, answers(network, images), strict=True):
        np.testing.assert_allclose(ops.convert_to_numpy(mine), yours.transpose(0, 2, 3, 1), atol=1e-4)


@pytest.mark.parametrize("name", ["convnext_tiny", "convnextv2_atto", "convnextv2_tiny"])
def test_without_classes(timm, name, images):
    network = theirs(timm, name, num_classes=0)
    model = ours(name, network)
    with pytest.raises(ValueError, match="head/kernel: the source has no such weight"):
        load_weights(model, network.state_dict())
    report = load_weights(model, network.state_dict(), skip="head")
    assert set(report.skipped) == {"head/kernel", "head/bias"}
    pooled = keras.Model(model.input, model.get_layer("head_norm").output)
    np.testing.assert_allclose(ops.convert_to_numpy(pooled(images)), answers(network, images), atol=1e-4)


@pytest.mark.parametrize("name", OTHER)
def test_other_networks_are_refused_with_the_reason(timm, name):
    network = theirs(timm, name)
    model = ours(name, network)
    with pytest.raises(ValueError, match="do not fit") as caught:
        load_weights(model, network.state_dict())
    assert OTHER[name] in str(caught.value)


@pytest.mark.parametrize("name", ["convnext_tiny_hnf", "convnext_large_mlp"])
def test_a_head_that_is_not_ours_is_left_out_whole(timm, name, images):
    network = theirs(timm, name, **({"head_hidden_size": 64} if "mlp" in name else {}))
    model = ours(name, network)
    report = load_weights(model, network.state_dict(), skip=("head",))
    assert {"head/kernel", "head/bias"} <= set(report.skipped)
    maps = answers(torch.nn.Sequential(network.stem, network.stages), images)
    mine = ops.convert_to_numpy(model.feature_extractor()(images)[-1])
    np.testing.assert_allclose(mine, maps.transpose(0, 2, 3, 1), atol=1e-4)


def test_images_with_other_channels(timm, rng):
    network = theirs(timm, "convnextv2_pico", in_chans=1)
    model = ours("convnextv2_pico", network, input_shape=(64, 64, 1))
    load_weights(model, network)  # the network itself in place of its state_dict
    images = rng.normal(size=(1, 64, 64, 1)).astype("float32")
    np.testing.assert_allclose(ops.convert_to_numpy(model(images)), answers(network, images), atol=1e-4)


def test_the_example_of_the_readme(timm, tmp_path):
    import safetensors.torch

    network = fill(timm.create_model("convnextv2_atto", num_classes=1000))
    path = tmp_path / "convnextv2_atto.safetensors"
    safetensors.torch.save_file(network.state_dict(), path)
    model = create_convnext_v2("atto", num_classes=10, input_shape=(32, 32, 3))
    report = load_weights(model, str(path), skip=("stem", "head"))
    assert set(report.skipped) == {"stem_conv/kernel", "stem_conv/bias", "head/kernel", "head/bias"}
    assert "build the model with patch_size=4 to keep the stem" in report.skipped["stem_conv/kernel"]
    last = network.stages[3].blocks[1].mlp.fc2.weight.detach().numpy()[..., 0, 0].T
    kernel = next(weight for weight in model.weights if weight.path == "stage_3_block_1/project/kernel")
    np.testing.assert_array_equal(ops.convert_to_numpy(kernel), last)
