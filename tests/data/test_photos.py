import numpy as np
import pytest

from dlt.data import photos
from dlt.data.photos import PHOTOS


def test_every_photo_is_there_and_as_described():
    for name, photo in photos().items():
        assert photo.dtype == np.uint8
        assert photo.shape[-1] == (3 if "colour" in PHOTOS[name] else 1)
        assert f"{photo.shape[0]} x {photo.shape[1]}" in PHOTOS[name]
        assert photo.std() > 10, "an empty picture"


def test_unknown_photo_is_refused():
    with pytest.raises(ValueError, match=r"one of 'astronaut'.* Received: photo='lena'"):
        photos("lena")
    with pytest.raises(ValueError, match=r"Received: photo=\['moon'\]"):
        photos(["moon"])
