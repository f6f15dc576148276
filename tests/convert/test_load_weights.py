import importlib.util
import logging

import keras
import numpy as np
import pytest
import safetensors.numpy
from keras import ops

from dlt.convert import load_weights
from dlt.models import ConvNeXtV1, ConvNeXtV2, create_convnext_v2
from tests.convert.other_names import state_dict
from tests.helpers import randomise

TINY = {"depths": (1, 2, 1, 1), "dims": (4, 8, 12, 16), "num_classes": 5, "input_shape": (32, 32, 3)}
has_torch = importlib.util.find_spec("torch") is not None


def values(model):
    return [ops.convert_to_numpy(weight) for weight in model.weights]


def same(model, other):
    return all(np.array_equal(a, b) for a, b in zip(values(model), values(other), strict=True))


@pytest.mark.parametrize("cls", [ConvNeXtV1, ConvNeXtV2])
@pytest.mark.parametrize(("style", "title"), [("official", "official"), ("timm", "timm"), ("hf", "Hugging Face")])
@pytest.mark.parametrize("how", ["dict", "safetensors"])
def test_names_of_other_libraries(cls, style, title, how, tmp_path):
    trained, fresh = randomise(cls(**TINY)), cls(**TINY)
    source = state_dict(trained, style)
    assert len(source) == len(trained.weights)
    if how == "safetensors":
        path = tmp_path / "model.safetensors"
        safetensors.numpy.save_file({name: np.ascontiguousarray(array) for name, array in source.items()}, path)
        source = path
    report = load_weights(fresh, source)
    assert (report.source, report.skipped, report.unused) == (title, {}, {})
    assert len(report.loaded) == len(fresh.weights)
    assert same(trained, fresh)


@pytest.mark.parametrize("name", ["model.keras", "model.weights.h5"])
def test_keras_files(name, tmp_path):
    trained, fresh = randomise(ConvNeXtV2(**TINY, drop_path_rate=0.1)), ConvNeXtV2(**TINY)
    trained.compile("adamw", "mse")
    trained.fit(np.zeros((2, 32, 32, 3)), np.zeros((2, 5)), verbose=0)  # an optimizer in the file must not matter
    (trained.save if name.endswith(".keras") else trained.save_weights)(tmp_path / name)
    assert not load_weights(fresh, str(tmp_path / name)).skipped
    assert same(trained, fresh)


def test_backbone_out_of_a_wrapped_model(tmp_path):
    backbone = randomise(ConvNeXtV2(**TINY, include_top=False))
    keras.Sequential([backbone, keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2, name="new")]).save(
        tmp_path / "wrapped.keras"
    )
    fresh = ConvNeXtV2(**TINY, include_top=False)
    report = load_weights(fresh, tmp_path / "wrapped.keras")
    assert set(report.unused.values()) == {f"outside '{backbone.name}/', where the network was found"}
    assert report.notes == (f"found under '{backbone.name}/' in the source",)
    assert len(report.unused) == 2
    assert same(backbone, fresh)


def test_pretrained_keeps_the_backbone_and_names_what_it_skips(tmp_path, caplog):
    trained = randomise(create_convnext_v2("atto", num_classes=10, input_shape=(128, 128, 3)))
    trained.save(tmp_path / "atto.keras")
    caplog.set_level(logging.INFO, logger="dlt.convert")
    tuned = create_convnext_v2("atto", num_classes=3, input_shape=(64, 64, 3), pretrained=tmp_path / "atto.keras")
    changed = [layer.name for layer in tuned.layers if layer.weights and not same(layer, trained.get_layer(layer.name))]
    assert changed == ["stem_conv", "head"]
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    for word in ("stem_conv/kernel", "stem_conv/bias", "head/kernel", "head/bias", "(320, 10)", "(320, 3)"):
        assert word in record.getMessage()


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (lambda: ConvNeXtV1(**TINY), "grn/gamma: the source has no such weight"),
        (lambda: ConvNeXtV2(**{**TINY, "depths": (1, 1, 1, 1)}), "stage_1_block_1"),
        (lambda: ConvNeXtV2(**{**TINY, "depths": (1, 3, 1, 1)}), "the model has no such weight"),
        (lambda: ConvNeXtV2(**{**TINY, "dims": (4, 8, 12, 20)}), r"the source has shape .*20"),
        (lambda: ConvNeXtV2(**{**TINY, "num_classes": 7}), "head/kernel"),
        (lambda: {"a": np.zeros(3), "b": np.zeros(4)}, "of no known kind"),
        (dict, "The source holds no weights"),
    ],
    ids=["V1 into V2", "shallower", "deeper", "wider", "other classes", "unknown names", "nothing"],
)
def test_a_source_that_does_not_fit_changes_nothing(source, words):
    model = randomise(ConvNeXtV2(**TINY))
    before = values(model)
    with pytest.raises(ValueError, match=words) as caught:
        load_weights(model, source())
    assert "Received: " in str(caught.value)
    assert all(np.array_equal(a, b) for a, b in zip(before, values(model), strict=True))


@pytest.mark.parametrize("name", ["model.keras", "model.weights.h5", "model.safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_a_cut_off_file_changes_nothing(name, share, tmp_path):
    model = randomise(ConvNeXtV2(**TINY))
    path = tmp_path / name
    if name == "model.keras":
        model.save(path)
    elif name == "model.weights.h5":
        model.save_weights(path)
    else:
        safetensors.numpy.save_file({k: np.ascontiguousarray(v) for k, v in state_dict(model, "timm").items()}, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    fresh = ConvNeXtV2(**TINY)
    before = values(fresh)
    with pytest.raises(ValueError, match="Cannot read the weights") as caught:
        load_weights(fresh, path)
    assert str(path) in str(caught.value)
    assert all(np.array_equal(a, b) for a, b in zip(before, values(fresh), strict=True))


def test_missing_and_unknown_files():
    model = ConvNeXtV2(**TINY)
    with pytest.raises(FileNotFoundError, match=r"Received: nowhere\.keras"):
        load_weights(model, "nowhere.keras")
    with pytest.raises(ValueError, match=r"\.keras, \.weights\.h5, \.safetensors, \.pth"):
        load_weights(model, "weights.onnx")


def test_report_prints_everything():
    ten, twenty = ConvNeXtV2(**TINY), ConvNeXtV2(**{**TINY, "num_classes": 20})
    text = repr(load_weights(twenty, ten, skip=("head",)))
    assert "2 skipped" in text
    assert "kept as it was: head/bias (the source has shape (5,), the model (20,))" in text
    assert "not used: head/kernel" in text


@pytest.mark.skipif(not has_torch, reason="only PyTorch writes and reads .pth files: make test-backends")
def test_pth_files_execute_nothing(tmp_path):
    import torch

    class Attack:
        def __reduce__(self):
            return (open, (str(tmp_path / "owned"), "w"))

    torch.save({"model": Attack()}, tmp_path / "attack.pth")
    with pytest.raises(ValueError, match="Cannot read the weights"):
        load_weights(ConvNeXtV2(**TINY), tmp_path / "attack.pth")
    assert not (tmp_path / "owned").exists()
