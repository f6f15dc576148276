import numpy as np

from dlt._check import check_index, check_positive_int, fail

MARGIN, RADII, NOISE = 20, (5, 20), 0.1


def circles(count: int = 100, size: int = 128, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return the smallest segmentation task there is: one white disc on black, under faint noise.

    A threshold at 0.5 almost solves it. So a network that fails here has a bug, and one that succeeds has shown
    nothing yet; `cells` is the harder task.

    Args:
        count: Whole number of images.
        size: Whole number, height and width of an image, at least 41: centres keep 20 pixels away from the edges.
        seed: Whole number; the same seed gives the same images.

    Returns:
        `(images, masks)`: float32 in [0, 1] and uint8 of 0 and 1, both of shape `(count, size, size, 1)`.

    Raises:
        ValueError: If a number is out of range.

    >>> images, masks = circles(count=4, size=64)
    >>> images.shape, round(float(images[masks == 1].mean())), round(float(images[masks == 0].mean()))
    ((4, 64, 64, 1), 1, 0)
    """
    if check_positive_int("size", size) <= 2 * MARGIN:
        fail("No room for a disc.", f"a size of at least {2 * MARGIN + 1}", f"size={size}", "Pass for example 64.")
    rng = np.random.default_rng(check_index("seed", seed))
    count = check_positive_int("count", count)
    rows, columns = rng.integers(MARGIN, size - MARGIN, size=(2, count, 1, 1))
    radius = rng.integers(*RADII, size=(count, 1, 1))
    y, x = np.ogrid[:size, :size]
    masks = ((y - rows) ** 2 + (x - columns) ** 2 < radius**2)[..., None]
    images = np.clip(masks + NOISE * rng.standard_normal(masks.shape), 0, 1)
    return images.astype("float32"), masks.astype("uint8")
