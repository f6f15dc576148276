import dataclasses
from collections.abc import Sequence
from typing import Any

from dlt._check import check_images, fail
from dlt.layers._projection import check_sides
from dlt.models._watch import shape_of


@dataclasses.dataclass(frozen=True)
class Limits:
    """What images a network takes; without the network, so that it can be sent to another process."""

    owner: str
    channels: Sequence[int]  # of each input
    min_side: int = 1
    multiple: int = 1

    def check(self, x: Any) -> None:
        """Raise unless what goes in is a batch of images that the network takes, as far as this can be told."""
        shape = shape_of(x)
        if shape is None or len(self.channels) != 1:
            return
        check_images(self.owner, shape, self.min_side)
        if shape[-1] != self.channels[0]:
            fail(
                f"{self.owner} was built for images with other channels.",
                f"{self.channels[0]} channels",
                f"shape={shape}",
                "Convert the images, or build the network for the channels that they have.",
            )
        check_sides(self.owner, shape, self.multiple, "Pad or resize the images.")
