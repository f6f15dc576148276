"""Published weights from servers of ours: the hub and the authors' site, whole, cut off, corrupt and absent."""

import hashlib
import http.server
import importlib.util
import os
import re
import subprocess
import sys
import threading

import keras
import numpy as np
import pytest
import safetensors.numpy
from keras import ops

from dlt.convert import _published, load_weights, published_weights
from dlt.models import ConvNeXtV1, ConvNeXtV2, create_convnext_v1, create_convnext_v2
from tests.convert.other_names import state_dict
from tests.helpers import ROOT, randomise

has_torch = importlib.util.find_spec("torch") is not None
needs_hub = pytest.mark.skipif(
    importlib.util.find_spec("huggingface_hub") is None, reason="needs huggingface_hub, the extra `hub`"
)
COMMIT = "0123456789abcdef" * 2 + "01234567"


class Site(http.server.BaseHTTPRequestHandler):
    """Serves `files` (by path) as the hub does, spoilt by the functions in `faults`, one request after the other."""

    protocol_version = "HTTP/1.1"
    files, faults, gets = {}, [], []

    def do_HEAD(self):
        self.answer(head=True)

    def do_GET(self):
        if self.path in self.files:
            type(self).gets.append((self.path, self.headers.get("Range")))
        self.answer(head=False)

    def answer(self, head):
        content = self.files.get(self.path)
        if content is None:
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        asked = self.headers.get("Range")
        start = int(asked.removeprefix("bytes=").partition("-")[0]) if asked else 0
        body = content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if not head:
            self.wfile.write(self.faults.pop(0)(body) if self.faults else body)
            self.close_connection = True

    def log_message(self, *args):
        """Keep quiet."""


def cut(body):
    return body[: len(body) // 2]


def corrupt(body):
    return body[:-8] + bytes(8 * [7])


@pytest.fixture
def site(tmp_path, monkeypatch):
    handler = type("Handler", (Site,), {"files": {}, "faults": [], "gets": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        handler.url = f"http://127.0.0.1:{running.server_address[1]}"
        monkeypatch.setattr(_published, "BASE_URL", handler.url)
        monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
        monkeypatch.setenv("HF_ENDPOINT", handler.url)
        yield handler
        running.shutdown()


@pytest.fixture
def hub(site, tmp_path, monkeypatch):
    """The site as the hub; what the library reads from its environment when it is imported is set here."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", site.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", site.url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    return site


def address(repository):
    return f"/{repository}/resolve/main/model.safetensors"


def timm_file(model):
    """Return the bytes of timm's file with a model's weights: small ones keep dense layers as 1x1 convolutions."""
    state = state_dict(model, "timm")
    if model.get_config()["dims"][0] < 96:
        dense = [name for name in state if re.search(r"\.mlp\.fc\d\.weight", name)]
        state |= {name: state[name][..., None, None] for name in dense}
    return safetensors.numpy.save({name: np.ascontiguousarray(array) for name, array in state.items()})


@pytest.fixture(scope="module")
def atto():
    return randomise(ConvNeXtV2.from_variant("atto"))


@pytest.fixture(scope="module")
def atto_file(atto):
    return timm_file(atto)


def same(model, other):
    return all(
        np.array_equal(ops.convert_to_numpy(a), ops.convert_to_numpy(b))
        for a, b in zip(model.weights, other.weights, strict=True)
    )


@needs_hub
def test_imagenet_needs_no_pytorch_and_is_fetched_once(hub, atto, atto_file, capsys):
    hub.files[address("timm/convnextv2_atto.fcmae_ft_in1k")] = atto_file
    for _ in range(2):
        assert same(create_convnext_v2("atto", pretrained="imagenet"), atto)
    assert "timm/convnextv2_atto.fcmae_ft_in1k: licence CC-BY-NC 4.0" in capsys.readouterr().out
    assert len(hub.gets) == 1
    tuned = create_convnext_v2("atto", num_classes=4, input_shape=(64, 64, 3), patch_size=4, pretrained="imagenet")
    assert same(tuned.get_layer("stem_conv"), atto.get_layer("stem_conv"))


@needs_hub
def test_fcmae_is_a_backbone(hub, atto, caplog):
    backbone = {name: array for name, array in state_dict(atto, "timm").items() if not name.startswith("head")}
    file = safetensors.numpy.save({name: np.ascontiguousarray(array) for name, array in backbone.items()})
    hub.files[address("timm/convnextv2_atto.fcmae")] = file
    model = create_convnext_v2("atto", include_top=False, pretrained="fcmae")
    assert all(same(layer, atto.get_layer(layer.name)) for layer in model.layers)
    assert not caplog.records
    create_convnext_v2("atto", num_classes=4, pretrained="fcmae")
    (record,) = caplog.records
    assert "4 skipped" in record.getMessage()


@needs_hub
def test_v1(hub, capsys, born_with_zeros):
    hub.files[address("timm/convnext_tiny.fb_in1k")] = timm_file(ConvNeXtV1.from_variant("tiny"))
    create_convnext_v1("tiny", pretrained="imagenet")
    assert "licence MIT" in capsys.readouterr().out


@needs_hub
def test_a_download_that_was_cut_off_goes_on(hub, atto_file):
    place = address("timm/convnextv2_atto.fcmae_ft_in1k")
    hub.files[place] = atto_file
    hub.faults.append(cut)
    try:
        path = published_weights("ConvNeXtV2", "atto")
    except ConnectionError:  # older versions of the library leave it to the next call
        path = published_weights("ConvNeXtV2", "atto")
    assert path.read_bytes() == atto_file
    assert len(hub.gets) == 2


@needs_hub
def test_a_corrupt_file_is_deleted_and_the_next_call_starts_clean(hub, atto, atto_file):
    hub.files[address("timm/convnextv2_atto.fcmae_ft_in1k")] = atto_file
    hub.faults.append(corrupt)
    with pytest.raises(ConnectionError, match=r"damaged\. Expected SHA-256 .* deleted now: call again"):
        create_convnext_v2("atto", pretrained="imagenet")
    assert same(create_convnext_v2("atto", pretrained="imagenet"), atto)


@needs_hub
def test_something_else_under_its_name_is_deleted(hub, atto, atto_file):
    place = address("timm/convnextv2_atto.fcmae_ft_in1k")
    hub.files[place] = b"<!DOCTYPE html><title>Log in</title>"
    with pytest.raises(ConnectionError, match=r"it is a web page.* deleted now: call again"):
        create_convnext_v2("atto", pretrained="imagenet")
    hub.files[place] = atto_file
    assert same(create_convnext_v2("atto", pretrained="imagenet"), atto)


@needs_hub
def test_no_such_file_says_what_to_do(hub):
    with pytest.raises(ConnectionError, match=r"Cannot download timm/convnextv2_nano\.fcmae:") as caught:
        published_weights("ConvNeXtV2", "nano", "fcmae")
    assert f"Expected an answer from {hub.url}" in str(caught.value)
    assert 'pretrained="fcmae-official"' in str(caught.value)


@needs_hub
def test_the_endpoint_of_the_environment(site, atto_file, tmp_path):
    site.files[address("timm/convnextv2_atto.fcmae_ft_in1k")] = atto_file
    code = "import dlt; print(dlt.models.create_convnext_v2('atto', pretrained='imagenet').count_params())"
    env = {**os.environ, "HF_HOME": str(tmp_path / "hf")}
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300)
    assert result.stdout.split()[-1] == "3708400", result.stderr
    assert len(site.gets) == 1


def test_without_the_library_one_clear_line(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "huggingface_hub" else find(name))
    with pytest.raises(ImportError, match="pip install huggingface_hub"):
        create_convnext_v2("atto", pretrained="imagenet")


@pytest.mark.parametrize(
    ("network", "variant", "weights"),
    [
        ("ConvNeXtV1", "xlarge", "imagenet"),
        ("ConvNeXtV1", "tiny", "fcmae"),
        ("ConvNeXtV1", "tiny", "fcmae-official"),
        ("ConvNeXtV2", "small", "imagenet"),
    ],
)
def test_what_was_not_published(network, variant, weights):
    with pytest.raises(ValueError, match=f"published no {weights.partition('-')[0]} weights of {network} {variant}"):
        published_weights(network, variant, weights)
    with pytest.raises(ValueError, match="Unknown `weights`"):
        published_weights(network, variant, "imagenet22k")


def test_every_published_size_is_one_of_ours():
    for (network, _), sizes in _published.SIZES.items():
        assert set(sizes) <= set({"ConvNeXtV1": ConvNeXtV1, "ConvNeXtV2": ConvNeXtV2}[network].MODEL_VARIANTS)


def test_the_authors_file_is_downloaded_with_its_licence(site, capsys):
    site.files["/convnext_base_1k_224_ema.pth"] = b"weights"
    assert published_weights("ConvNeXtV1", "base", "imagenet-official").read_bytes() == b"weights"
    assert "licence MIT" in capsys.readouterr().out
    with pytest.raises(ConnectionError, match="404"):
        published_weights("ConvNeXtV1", "large", "imagenet-official")


@pytest.mark.skipif(has_torch, reason="shows what happens without PyTorch")
def test_pth_without_torch_says_what_to_do(site):
    site.files["/convnext_tiny_1k_224_ema.pth"] = b"weights"
    with pytest.raises(ImportError, match="pip install torch"):
        create_convnext_v1("tiny", pretrained="imagenet-official")


@pytest.mark.skipif(not has_torch, reason="only PyTorch writes and reads .pth files: make test-backends")
def test_the_authors_files(site, atto, capsys, tmp_path):
    import torch

    state = {name: torch.tensor(np.ascontiguousarray(array)) for name, array in state_dict(atto, "official").items()}
    torch.save({"model": state, "epoch": 600}, tmp_path / "file.pt")
    whole = (tmp_path / "file.pt").read_bytes()
    for weights, folder, end in (("imagenet", "im1k", "ema"), ("fcmae", "pt_only", "fcmae")):
        place = f"/convnextv2/{folder}/convnextv2_atto_1k_224_{end}.pt"
        site.files[place] = whole[:-1000]  # broken where it lies: the download itself is complete
        with pytest.raises(ConnectionError, match=r"cut off, damaged.* deleted now: call again"):
            create_convnext_v2("atto", pretrained=f"{weights}-official")
        site.files[place] = whole
        model = create_convnext_v2("atto", pretrained=f"{weights}-official")
        assert same(model, atto)
    assert "CC-BY-NC" in capsys.readouterr().out


def test_keras_backend_is_the_only_framework_a_safetensors_file_needs(atto, atto_file, tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(atto_file)
    fresh = ConvNeXtV2.from_variant("atto")
    assert load_weights(fresh, path).source == "timm"
    assert same(fresh, atto)
    assert keras.backend.backend() == "torch" or "torch" not in sys.modules
