"""The weights that ConvNeXt's authors have published: from timm's repositories on Hugging Face, or their own site."""

import hashlib
import importlib.util
import os
import pathlib
import re
from typing import Any

import keras

from dlt._check import check_choice, fail
from dlt._download import cache_folder, download
from dlt.convert._load import LoadReport, load_weights
from dlt.convert._read import UnreadableError

BASE_URL = "https://dl.fbaipublicfiles.com/convnext"
LICENCES = {
    "ConvNeXtV1": "MIT (https://github.com/facebookresearch/ConvNeXt); timm's copy Apache 2.0",
    "ConvNeXtV2": "CC-BY-NC 4.0, not for commercial use (https://github.com/facebookresearch/ConvNeXt-V2)",
}
V2_SIZES = ("atto", "femto", "pico", "nano", "tiny", "base", "large", "huge")
SIZES = {
    ("ConvNeXtV1", "imagenet"): ("tiny", "small", "base", "large"),
    ("ConvNeXtV2", "imagenet"): V2_SIZES,
    ("ConvNeXtV2", "fcmae"): V2_SIZES,
}
HUB = {
    ("ConvNeXtV1", "imagenet"): "timm/convnext_{}.fb_in1k",
    ("ConvNeXtV2", "imagenet"): "timm/convnextv2_{}.fcmae_ft_in1k",
    ("ConvNeXtV2", "fcmae"): "timm/convnextv2_{}.fcmae",
}
OFFICIAL = {
    ("ConvNeXtV1", "imagenet"): "convnext_{}_1k_224_ema.pth",
    ("ConvNeXtV2", "imagenet"): "convnextv2/im1k/convnextv2_{}_1k_224_ema.pt",
    ("ConvNeXtV2", "fcmae"): "convnextv2/pt_only/convnextv2_{}_1k_224_fcmae.pt",
}
PUBLISHED = ("imagenet", "fcmae", "imagenet-official", "fcmae-official")


def published_weights(network: str, variant: str, weights: str = "imagenet") -> pathlib.Path:
    """Download weights that the authors have published (ImageNet-1K, 224 px), and return the file's path.

    The file is kept in a cache and fetched once. Its licence is printed.

    Args:
        network: "ConvNeXtV1" or "ConvNeXtV2".
        variant: String, a size the authors published.
        weights: "imagenet" for the classifier, "fcmae" for what V2 learned without labels: a backbone. Both are
            timm's `.safetensors` files, which need no PyTorch but the library `huggingface_hub`.
            "imagenet-official" and "fcmae-official" are the authors' own files, which only PyTorch reads.

    Raises:
        ConnectionError: If the download fails, or what came is damaged; call again.
        ImportError: If `huggingface_hub` is needed and missing.
        ValueError: If the authors published no such weights.
    """
    check_choice("weights", weights, PUBLISHED)
    what = (network, weights.removesuffix("-official"))
    if variant not in SIZES.get(what, ()):
        offered = "; ".join(f"{name} {kind} of {', '.join(sizes)}" for (name, kind), sizes in SIZES.items())
        fail(
            f"The authors published no {what[1]} weights of {network} {variant}.",
            offered,
            f"network={network!r}, variant={variant!r}, weights={weights!r}",
            "Use another variant, or pretrained=None.",
        )
    if not weights.endswith("-official"):
        return from_hub(HUB[what].format(variant), network, weights)
    place = OFFICIAL[what].format(variant)
    name = place.rpartition("/")[2]
    print(f"{name}: licence {LICENCES[network].partition(';')[0]}")
    return download(f"{BASE_URL}/{place}", cache_folder("models") / name)


def from_hub(repository: str, network: str, weights: str) -> pathlib.Path:
    """Return the path of a repository's model.safetensors in the cache of `huggingface_hub`, downloaded if need be."""
    if importlib.util.find_spec("huggingface_hub") is None:
        raise ImportError(
            f"Published weights come through the library huggingface_hub. Expected it to be installed. "
            f"Received: {repository}. Run `pip install huggingface_hub`, or take the authors' own file with "
            f'pretrained="{weights}-official", which needs PyTorch.'
        )
    hub = importlib.import_module("huggingface_hub")
    print(f"{repository}: licence {LICENCES[network]}")
    try:
        path = pathlib.Path(hub.hf_hub_download(repository, "model.safetensors"))
    except Exception as error:  # the library has errors of its own, and those of whatever it fetches with
        endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
        raise ConnectionError(
            f"Cannot download {repository}: {error}. Expected an answer from {endpoint}. Received: "
            f"{type(error).__name__}. Call again to go on, download its model.safetensors elsewhere and pass the path, "
            f'or take the authors\' own file with pretrained="{weights}-official".'
        ) from error
    check_hash(path)
    return path


def check_hash(path: pathlib.Path) -> None:
    """Delete a file of the hub's cache and raise if its contents have not the hash that is the name of its blob."""
    blob = path.resolve()
    if not re.fullmatch(r"[0-9a-f]{64}", blob.name):
        return  # a cache without links does not keep the hash
    with blob.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != blob.name:
        forget(path)
        raise ConnectionError(
            f"What was downloaded is damaged. Expected SHA-256 {blob.name}. Received: {digest}. "
            "It is deleted now: call again to download it anew."
        )


def forget(path: pathlib.Path) -> None:
    """Delete a file of a cache, and what it links to."""
    path.resolve().unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def load_published(model: keras.Model, network: str, variant: str, weights: str, skip: Any = ()) -> LoadReport:
    """Fill a model with published weights; a file that cannot be read is deleted, so that the next call starts clean.

    Args:
        model: A ConvNeXt of this network and variant.
        network: As for `published_weights`.
        variant: As for `published_weights`.
        weights: As for `published_weights`.
        skip: As for `load_weights`.

    Raises:
        ConnectionError: If the download fails, or what came cannot be read; call again.
        ImportError: If a library is missing that fetches or reads them.
        ValueError: If there are no such weights, or they do not fit.
    """
    path = published_weights(network, variant, weights)
    try:
        return load_weights(model, path, skip)
    except UnreadableError as error:
        forget(path)
        raise ConnectionError(f"{error} What was downloaded is deleted now: call again to download it anew.") from error
