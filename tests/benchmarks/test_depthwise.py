"""Depthwise gradients by convolution are those of PyTorch."""

import keras
import numpy as np
import pytest

torch = pytest.importorskip("torch")
if keras.backend.backend() != "torch":
    pytest.skip("needs Keras on PyTorch", allow_module_level=True)

from keras.src.backend.torch import nn  # noqa: E402

from benchmarks import _depthwise  # noqa: E402


@pytest.mark.parametrize(("height", "width"), [(8, 8), (3, 5), (16, 1)])
@pytest.mark.parametrize("side", [3, 7])
def test_gradients_are_those_of_pytorch(height, width, side):
    maps = torch.randn(3, 4, height, width, dtype=torch.float64, requires_grad=True)
    kernel = torch.randn(4, 1, side, side, dtype=torch.float64, requires_grad=True)
    slopes = torch.randn(3, 4, height, width, dtype=torch.float64)
    expected = torch.nn.functional.conv2d(maps, kernel, padding=side // 2, groups=4)
    right = torch.autograd.grad(expected, (maps, kernel), slopes)
    received = _depthwise.Depthwise.apply(maps, kernel)
    found = torch.autograd.grad(received, (maps, kernel), slopes)
    torch.testing.assert_close(received, expected)
    torch.testing.assert_close(found[0], right[0])
    torch.testing.assert_close(found[1], right[1], rtol=1e-5, atol=1e-5)  # the sum over images is one of float32


def test_layers_take_it_where_it_fits_and_only_there(monkeypatch):
    monkeypatch.setattr(nn, "depthwise_conv", nn.depthwise_conv)
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("float32")
    options = [{"padding": "same"}, {"padding": "valid"}, {"padding": "same", "strides": 2}]
    layers = [keras.layers.DepthwiseConv2D(3, **each) for each in options]
    layers.append(keras.layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2))
    before = [keras.ops.convert_to_numpy(layer(x)) for layer in layers]
    calls = []
    apply = _depthwise.Depthwise.apply
    monkeypatch.setattr(_depthwise.Depthwise, "apply", lambda *given: calls.append(1) or apply(*given))
    _depthwise.install(nn)
    for layer, expected in zip(layers, before, strict=True):
        np.testing.assert_allclose(keras.ops.convert_to_numpy(layer(x)), expected, atol=1e-6)
    assert len(calls) == 1
