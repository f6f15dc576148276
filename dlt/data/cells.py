import numpy as np
import skimage.filters

from dlt._check import check_index, check_positive_int, fail

RADII = (5.0, 9.0)  # pixels
COVERAGE = (0.1, 0.45)  # the part of an image that cells cover
OVERLAP = 0.25  # at most this part of a cell lies on others
BRIGHTNESS = (0.25, 1.0)
PHOTONS = 60  # that a pixel of full brightness counts
MIN_SIZE = 32


def cells(count: int = 100, size: int = 64, seed: int = 0, labels: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Return synthetic fluorescence microscopy: bright nuclei on a dark background, and which pixels they cover.

    What makes real images hard is here, each with a known cause: nuclei touch and overlap, some are four times as
    bright as others, the optics blurs them, the lamp lights one side more, and so few photons are counted that each
    pixel is noisy (its variance is its mean). There is no download, and the truth is exact.

    Args:
        count: Whole number of images.
        size: Whole number, height and width of an image, at least 32. Cells are 10 to 18 pixels wide in any image.
        seed: Whole number; the same seed gives the same images.
        labels: Boolean, whether to return which cell a pixel belongs to, in place of whether it belongs to any.

    Returns:
        `(images, masks)`, both of shape `(count, size, size, 1)`: images float32 in [0, 1]; masks uint8 of 0 and 1, or
        with `labels=True` int32 of 0 for the background and 1, 2, ... for the cells of an image.

    Raises:
        ValueError: If a number is out of range.

    >>> images, masks = cells(count=2, size=64, seed=0)
    >>> _, labels = cells(count=2, size=64, seed=0, labels=True)
    >>> images.shape, bool(((labels > 0) == masks).all())
    ((2, 64, 64, 1), True)
    """
    if check_positive_int("size", size) < MIN_SIZE:
        fail("No room for cells.", f"a size of at least {MIN_SIZE}", f"size={size}", "Pass for example 64.")
    rng = np.random.default_rng(check_index("seed", seed))
    drawn = [draw(size, rng) for _ in range(check_positive_int("count", count))]
    images = np.stack([photograph(light, rng) for light, _ in drawn])[..., None].astype("float32")
    instances = np.stack([instance for _, instance in drawn])[..., None]
    return images, instances.astype("int32") if labels else (instances > 0).astype("uint8")


def draw(size, rng):
    """Return the light that cells send out and their labels, both of shape (size, size)."""
    light, labels = np.zeros((size, size)), np.zeros((size, size), int)
    wanted = rng.uniform(*COVERAGE) * size**2
    for _ in range(size**2 // 40):  # attempts: a crowded image has room for no more
        if (labels > 0).sum() >= wanted:
            break
        height = cell(size, rng)
        inside = height > 0
        if inside.sum() >= 40 and (labels[inside] > 0).mean() <= OVERLAP:
            labels[inside & (labels == 0)] = labels.max() + 1
            light += rng.uniform(*BRIGHTNESS) * np.sqrt(np.maximum(height, 0))  # light of two cells adds up
    return light, labels


def cell(size, rng):
    """Return a dome over a random, not quite round cell: above 0 inside, at most 1."""
    row, column, turn, *phases = rng.uniform((0, 0, 0, 0, 0), (size, size, np.pi, 2 * np.pi, 2 * np.pi))
    radius, stretch = rng.uniform(*RADII), rng.uniform(0.8, 1.0)
    y, x = np.ogrid[:size, :size]
    y, x = y - row, x - column
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    angle = np.arctan2(across, along)
    outline = 1 + 0.06 * sum(np.cos(k * angle + phase) for k, phase in zip((2, 3), phases, strict=True))
    distance = np.hypot(along * stretch, across / stretch) / (radius * outline)
    return 1 - distance**2


def photograph(light, rng):
    """Return what a microscope records of some light: unevenly lit, blurred, and counted photon by photon."""
    texture = skimage.filters.gaussian(rng.standard_normal(light.shape), 2)
    y, x = np.ogrid[0 : 1 : len(light) * 1j, 0 : 1 : len(light) * 1j]
    row, column = rng.uniform(0, 1, 2)
    lamp = 0.5 + 0.5 * np.exp(-2 * ((y - row) ** 2 + (x - column) ** 2))  # brightest at (row, column)
    seen = lamp * (0.06 + 0.8 * light * (1 + texture / texture.std() * 0.15))
    return np.clip(rng.poisson(PHOTONS * np.maximum(skimage.filters.gaussian(seen, 1.0), 0)) / PHOTONS, 0, 1)
