import keras
import pytest

from benchmarks import _precision


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="asks PyTorch")
@pytest.mark.parametrize(("fast", "expected"), [(True, "mixed_bfloat16"), (False, "float32")])
def test_bfloat16_only_where_it_is_fast(monkeypatch, fast, expected):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: fast, raising=False)
    assert _precision.policy() == expected
    assert _precision.policy("float32") == "float32"


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="asks PyTorch")
def test_other_backends_get_what_they_ask_for():
    assert _precision.policy() == "mixed_bfloat16"
