"""From an image to an answer: images of any size, whole or in tiles, and the objects in a predicted mask."""

from dlt.predict.objects import objects
from dlt.predict.padded import padded
from dlt.predict.tiles import tiles

__all__ = ["objects", "padded", "tiles"]
