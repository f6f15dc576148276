import functools
import http.server
import importlib.util
import logging
import pathlib
import threading

import keras
import numpy as np
import pytest
import safetensors.numpy
from keras import ops

from dlt.convert import _imagenet, imagenet_checkpoint, load_weights
from dlt.models import ConvNeXtV1, ConvNeXtV2, create_convnext_v1, create_convnext_v2
from tests.helpers import randomise

TINY = {"depths": (1, 2, 1, 1), "dims": (4, 8, 12, 16), "num_classes": 5, "input_shape": (32, 32, 3)}
has_torch = importlib.util.find_spec("torch") is not None


def values(model):
    return [ops.convert_to_numpy(weight) for weight in model.weights]


def same(model, other):
    return all(np.array_equal(a, b) for a, b in zip(values(model), values(other), strict=True))


def state_dict(model, style):
    """Write a model's weights under the names, axes and shapes of another library, spelled out one by one."""
    state = {}

    def put(name, path):
        array = ops.convert_to_numpy(next(weight for weight in model.weights if weight.path == path))
        if array.ndim == 4:
            array = array.transpose((2, 3, 0, 1) if "depthwise" in path else (3, 2, 0, 1))
        state[name] = array.T if array.ndim == 2 else array

    def layer(name, path):
        scales = path.endswith("norm")
        put(f"{name}.weight", f"{path}/{'gamma' if scales else 'kernel'}")
        put(f"{name}.bias", f"{path}/{'beta' if scales else 'bias'}")

    hf = {ConvNeXtV1: "convnext.", ConvNeXtV2: "convnextv2."}[type(model)]
    stem = {"official": "downsample_layers.0.{}", "timm": "stem.{}", "hf": hf + "embeddings.{}"}[style]
    down = {
        "official": "downsample_layers.{}.{}",
        "timm": "stages.{}.downsample.{}",
        "hf": hf + "encoder.stages.{}.downsampling_layer.{}",
    }[style]
    block = {"official": "stages.{}.{}", "timm": "stages.{}.blocks.{}", "hf": hf + "encoder.stages.{}.layers.{}"}[style]
    inner = {
        "official": ("dwconv", "norm", "pwconv1", "pwconv2", "gamma", "grn.gamma", "grn.beta"),
        "timm": ("conv_dw", "norm", "mlp.fc1", "mlp.fc2", "gamma", "mlp.grn.weight", "mlp.grn.bias"),
        "hf": ("dwconv", "layernorm", "pwconv1", "pwconv2", "layer_scale_parameter", "grn.weight", "grn.bias"),
    }[style]
    layer(stem.format("patch_embeddings" if style == "hf" else 0), "stem_conv")
    layer(stem.format("layernorm" if style == "hf" else 1), "stem_norm")
    for i, depth in enumerate(model.get_config()["depths"]):
        if i:
            layer(down.format(i, 0), f"downsample_{i}_norm")
            layer(down.format(i, 1), f"downsample_{i}_conv")
        for j in range(depth):
            theirs, ours = block.format(i, j), f"stage_{i}_block_{j}"
            for name, path in zip(inner, ("depthwise", "norm", "expand", "project"), strict=False):
                layer(f"{theirs}.{name}", f"{ours}/{path}")
            if isinstance(model, ConvNeXtV1):
                put(f"{theirs}.{inner[4]}", f"{ours}/layer_scale/gamma")
                continue
            for name, path in zip(inner[5:], ("grn/gamma", "grn/beta"), strict=True):
                put(f"{theirs}.{name}", f"{ours}/{path}")
                if style != "timm":
                    state[f"{theirs}.{name}"] = state[f"{theirs}.{name}"].reshape(1, 1, 1, -1)
    layer({"official": "norm", "timm": "head.norm", "hf": hf + "layernorm"}[style], "head_norm")
    layer({"official": "head", "timm": "head.fc", "hf": "classifier"}[style], "head")
    return state


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


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Serve a directory as if it were the authors' site."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("localhost", 0), handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        monkeypatch.setattr(_imagenet, "BASE_URL", f"http://localhost:{httpd.server_port}")
        yield tmp_path
        httpd.shutdown()


def test_official_checkpoint_is_downloaded_with_its_licence(server, capsys):
    (server / "convnext_base_1k_224_ema.pth").write_bytes(b"weights")
    path = imagenet_checkpoint("ConvNeXtV1", "base")
    assert pathlib.Path(path).read_bytes() == b"weights"
    assert "licence MIT" in capsys.readouterr().out
    with pytest.raises(Exception, match="404"):
        imagenet_checkpoint("ConvNeXtV1", "large")
    with pytest.raises(ValueError, match="no ImageNet-1K checkpoint of ConvNeXtV1 xlarge"):
        imagenet_checkpoint("ConvNeXtV1", "xlarge")


@pytest.mark.skipif(has_torch, reason="shows what happens without PyTorch")
def test_pth_without_torch_says_what_to_do(server):
    (server / "convnext_tiny_1k_224_ema.pth").write_bytes(b"weights")
    with pytest.raises(ImportError, match="pip install torch"):
        create_convnext_v1("tiny", pretrained="imagenet")


@pytest.mark.skipif(not has_torch, reason="only PyTorch writes and reads .pth files: make test-backends")
def test_imagenet_weights_from_a_pth_file(server, capsys):
    import torch

    trained = randomise(ConvNeXtV2.from_variant("atto"))
    state = {name: torch.tensor(np.ascontiguousarray(array)) for name, array in state_dict(trained, "official").items()}
    folder = server / "convnextv2" / "im1k"
    folder.mkdir(parents=True)
    path = folder / "convnextv2_atto_1k_224_ema.pt"
    torch.save({"model": state, "epoch": 600}, path)
    model = create_convnext_v2("atto", pretrained="imagenet")
    assert "CC-BY-NC" in capsys.readouterr().out
    assert same(trained, model)
    tuned = create_convnext_v2("atto", num_classes=4, input_shape=(64, 64, 3), pretrained="imagenet")
    assert same(tuned.get_layer("stage_3_block_1"), trained.get_layer("stage_3_block_1"))
    cut = server / "cut.pth"
    cut.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(ValueError, match="Cannot read the weights"):
        load_weights(model, cut)
    assert same(trained, model)


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
