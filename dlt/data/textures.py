import numpy as np
import skimage.color

from dlt._check import check_index, check_positive_int, fail
from dlt.data.photos import photos

TEXTURE_CLASSES = ("brick", "fur", "galaxies", "grass", "gravel", "moon", "retina", "tissue")

# Where each texture fills the frame: photo, rows, columns.
REGIONS = {
    "brick": ("brick", slice(0, 512), slice(0, 512)),
    "fur": ("chelsea", slice(0, 220), slice(20, 420)),
    "galaxies": ("hubble_deep_field", slice(0, 872), slice(0, 1000)),
    "grass": ("grass", slice(0, 512), slice(0, 512)),
    "gravel": ("gravel", slice(0, 512), slice(0, 512)),
    "moon": ("moon", slice(0, 512), slice(0, 512)),
    "retina": ("retina", slice(350, 1050), slice(250, 1150)),
    "tissue": ("immunohistochemistry", slice(0, 512), slice(0, 512)),
}


def textures(
    size: int = 32, train_per_class: int = 200, test_per_class: int = 50, seed: int = 0
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Return a classification task cut from real photographs, with no download: which texture is this patch of?

    Patches are grey and standardised one by one (mean 0, deviation 1), so that neither colour nor brightness nor
    contrast gives the answer away. Training patches come from the left 70 % of each photo, test patches from the
    rest, and no pixel is in both.

    Args:
        size: Whole number, height and width of a patch, at most 64.
        train_per_class: Whole number of training patches for each of the 8 classes.
        test_per_class: Whole number of test patches for each class.
        seed: Whole number; the same seed gives the same patches.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: x float32 of shape `(n, size, size, 1)`, y int64 of shape `(n,)`, the
        index in `TEXTURE_CLASSES`. Both are shuffled.

    Raises:
        ValueError: If a size or number is out of range.

    >>> (x_train, y_train), (x_test, y_test) = textures(train_per_class=10, test_per_class=5)
    >>> x_train.shape, y_test.shape
    ((80, 32, 32, 1), (40,))
    """
    if check_positive_int("size", size) > 64:
        fail(
            "The smallest photo leaves no room for test patches this large.",
            "a size of at most 64",
            f"size={size}",
            "Resize smaller patches, or bring photos of your own.",
        )
    rng = np.random.default_rng(check_index("seed", seed))
    check_positive_int("train_per_class", train_per_class)
    check_positive_int("test_per_class", test_per_class)
    (x_train, y_train), (x_test, y_test) = raw_textures(size, train_per_class, test_per_class, rng)
    return (standardised(x_train), y_train), (standardised(x_test), y_test)


def raw_textures(size, train_per_class, test_per_class, rng):
    """Return what `textures` returns, with the patches as they are in the photographs, values in [0, 1]."""
    train, test = {}, {}
    for name, texture in whole_textures().items():
        border = int(0.7 * texture.shape[1])
        train[name] = cut(texture[:, :border], size, train_per_class, rng)
        test[name] = cut(texture[:, border:], size, test_per_class, rng)
    return shuffled(train, rng), shuffled(test, rng)


def whole_textures():
    """Return `{class: grey texture}` as float arrays of shape (height, width), with values in [0, 1]."""
    textures = {}
    for name in TEXTURE_CLASSES:
        photo, rows, columns = REGIONS[name]
        image = photos(photo)[photo][rows, columns]
        textures[name] = skimage.color.rgb2gray(image) if image.shape[-1] == 3 else image[..., 0] / 255
    return textures


def cut(texture, size, count, rng):
    """Return `count` patches from random places of a texture, shape (count, size, size, 1)."""
    windows = np.lib.stride_tricks.sliding_window_view(texture, (size, size))
    return windows[rng.integers(windows.shape[0], size=count), rng.integers(windows.shape[1], size=count)][..., None]


def standardised(patches):
    """Return each patch with mean 0 and deviation 1, in float32."""
    mean, deviation = patches.mean((1, 2), keepdims=True), patches.std((1, 2), keepdims=True)
    return ((patches - mean) / (deviation + 1e-3)).astype("float32")


def shuffled(patches, rng):
    """Return all classes' patches and their labels, shuffled together."""
    x = np.concatenate([patches[name] for name in TEXTURE_CLASSES])
    y = np.repeat(np.arange(len(TEXTURE_CLASSES)), [len(patches[name]) for name in TEXTURE_CLASSES])
    order = rng.permutation(len(x))
    return x[order], y[order]
