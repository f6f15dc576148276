"""From an image to an answer: images of any size, whole or in tiles, photos without noise, nuclei, objects."""

from dlt.predict.denoise import denoise
from dlt.predict.nuclei import nuclei
from dlt.predict.objects import objects
from dlt.predict.padded import padded
from dlt.predict.tiles import tiles

__all__ = ["denoise", "nuclei", "objects", "padded", "tiles"]
