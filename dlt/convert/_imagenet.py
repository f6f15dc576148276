import keras

from dlt._check import fail

BASE_URL = "https://dl.fbaipublicfiles.com/convnext"
LICENCES = {
    "ConvNeXtV1": "MIT (https://github.com/facebookresearch/ConvNeXt)",
    "ConvNeXtV2": "CC-BY-NC 4.0, not for commercial use (https://github.com/facebookresearch/ConvNeXt-V2)",
}
PUBLISHED = {
    "ConvNeXtV1": ("tiny", "small", "base", "large"),
    "ConvNeXtV2": ("atto", "femto", "pico", "nano", "tiny", "base", "large", "huge"),
}


def imagenet_checkpoint(network, variant):
    """Download the authors' ImageNet-1K checkpoint (224 px, 1000 classes) and return its path.

    The file is kept in Keras's cache and fetched once. Its licence is printed.

    Args:
        network: "ConvNeXtV1" or "ConvNeXtV2".
        variant: String, a size the authors published.

    Raises:
        ValueError: If the authors published no such checkpoint.
    """
    if variant not in PUBLISHED.get(network, ()):
        fail(
            f"The authors published no ImageNet-1K checkpoint of {network} {variant}.",
            f"one of {', '.join(PUBLISHED.get(network, PUBLISHED))}",
            f"network={network!r}, variant={variant!r}",
            "Use another variant, or pretrained=None.",
        )
    if network == "ConvNeXtV1":
        name = f"convnext_{variant}_1k_224_ema.pth"
        url = f"{BASE_URL}/{name}"
    else:
        name = f"convnextv2_{variant}_1k_224_ema.pt"
        url = f"{BASE_URL}/convnextv2/im1k/{name}"
    print(f"{name}: licence {LICENCES[network]}")
    return keras.utils.get_file(name, url, cache_subdir="models")
