"""Logits equal to Hugging Face's ConvNext and ConvNextV2, small and with random weights. Runs with PyTorch."""

import keras
import numpy as np
import pytest

from dlt.convert import load_weights
from dlt.models import ConvNeXtV1, ConvNeXtV2

torch = pytest.importorskip("torch", reason="parity with transformers needs PyTorch: make test-backends")
transformers = pytest.importorskip("transformers", reason="parity needs transformers: make test-backends")

SMALL = {"depths": [1, 2, 2, 1], "hidden_sizes": [8, 16, 24, 32]}


@pytest.mark.parametrize(
    ("cls", "config", "network"),
    [
        (ConvNeXtV1, "ConvNextConfig", "ConvNextForImageClassification"),
        (ConvNeXtV2, "ConvNextV2Config", "ConvNextV2ForImageClassification"),
    ],
    ids=["V1", "V2"],
)
def test_equal_to_transformers(cls, config, network):
    torch.manual_seed(0)
    theirs = getattr(transformers, network)(getattr(transformers, config)(**SMALL, num_labels=7)).eval()
    with torch.no_grad():
        for name, tensor in theirs.named_parameters():
            vector = tensor.numel() == max(tensor.shape)
            tensor.normal_(1.0 if "weight" in name and vector else 0.0, 0.3 if vector else 0.1)
    ours = cls(depths=SMALL["depths"], dims=SMALL["hidden_sizes"], num_classes=7, input_shape=(64, 96, 3), patch_size=4)
    report = load_weights(ours, theirs.state_dict())
    assert (report.source, report.skipped, report.unused) == ("Hugging Face", {}, {})
    x = np.random.default_rng(0).normal(size=(2, 64, 96, 3)).astype("float32")
    with torch.no_grad():
        expected = theirs(torch.from_numpy(x).permute(0, 3, 1, 2)).logits.numpy()
    error = np.abs(keras.ops.convert_to_numpy(ours(x)) - expected).max()
    print(f"largest difference {error:.1e} at values up to {np.abs(expected).max():.1f}")
    assert error < 1e-4
