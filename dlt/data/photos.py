import numpy as np
import skimage.data

from dlt._check import check_choice

# scikit-image carries these files in its own package; its others would be downloaded. What each shows:
PHOTOS = {
    "astronaut": "Eileen Collins, portrait in colour, 512 x 512 (NASA)",
    "brick": "a brick wall, grey, 512 x 512",
    "camera": "a cameraman, grey, 512 x 512",
    "chelsea": "a cat, in colour, 300 x 451",
    "coffee": "a cup of coffee, in colour, 400 x 600",
    "coins": "ancient coins, grey, 303 x 384",
    "grass": "grass, grey, 512 x 512",
    "gravel": "gravel, grey, 512 x 512",
    "hubble_deep_field": "galaxies, in colour, 872 x 1000 (NASA, ESA)",
    "immunohistochemistry": "stained colon tissue, in colour, 512 x 512",
    "moon": "the surface of the moon, grey, 512 x 512",
    "page": "a scanned page of text, grey, 191 x 384",
    "retina": "the back of an eye, in colour, 1411 x 1411",
    "rocket": "a rocket on its launch pad, in colour, 427 x 640",
}


def photos(*names: str) -> dict[str, np.ndarray]:
    """Return real photographs that need no download.

    They are the free images inside scikit-image (https://scikit-image.org/docs/stable/api/skimage.data.html), which
    lists the origin and licence of each.

    Args:
        *names: Strings, which photos; none given means all. The names are the keys of `dlt.data.photos.PHOTOS`:
            astronaut, brick, camera, chelsea, coffee, coins, grass, gravel, hubble_deep_field,
            immunohistochemistry, moon, page, retina, rocket.

    Returns:
        Dict, name -> uint8 array of shape `(height, width, 3)` in colour or `(height, width, 1)` in grey.

    Raises:
        ValueError: If there is no photo of that name.

    >>> {name: photo.shape for name, photo in photos("astronaut", "camera").items()}
    {'astronaut': (512, 512, 3), 'camera': (512, 512, 1)}
    """
    chosen = [check_choice("photo", name, PHOTOS) for name in names] or list(PHOTOS)
    loaded = {name: getattr(skimage.data, name)() for name in chosen}
    return {name: photo if photo.ndim == 3 else photo[..., None] for name, photo in loaded.items()}
