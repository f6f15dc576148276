import dataclasses
from typing import Any

import numpy as np
from keras import ops

from dlt._check import check_images, fail
from dlt.show import Table

DEAD = 0.01  # of the strongest channel


@dataclasses.dataclass(frozen=True, repr=False)
class ChannelDiversity(Table):
    """How different the channels of a layer are, each a mean over images. Dead channels count for `dead` only.

    Attributes:
        distance: Float in [0, 1]. Mean over all pairs of channels of `(1 - cos) / 2`: 0 where all channels are
            copies, 0.5 where they are orthogonal, but also where copies have random signs.
        participation_ratio: Float from 1 to the number of channels alive, 0 if none is: the squared sum of the
            eigenvalues of the matrix of cosines over the sum of their squares, an effective rank. Copies count once,
            whatever their signs; orthogonal channels count one each.
        dead: Float in [0, 1], the share of channels whose root mean square over an image is below 1 % of that of
            the image's strongest channel.
        channels: Whole number of channels.
        similarity: Array of shape `(channels, channels)`, the mean over images of `cos ** 2` of each pair.
    """

    distance: float
    participation_ratio: float
    dead: float
    channels: int
    similarity: np.ndarray = dataclasses.field(compare=False)

    def rows(self):
        """Return one row with the four numbers."""
        return [
            ("cosine distance", "participation ratio", "dead channels", "channels"),
            (f"{self.distance:.3f}", f"{self.participation_ratio:.1f}", f"{100 * self.dead:.1f} %", self.channels),
        ]

    def plot(self):
        """Draw how alike the channels are, each with each: bright for copies, dark for channels of their own."""
        from dlt.plot import figure  # matplotlib is slow to import, and only figures need it

        with figure(size=(5, 4.2)) as (fig, ax):
            picture = ax.imshow(self.similarity, cmap="magma", vmin=0, vmax=1, interpolation="nearest")
            title = f"participation ratio {self.participation_ratio:.1f} of {self.channels} channels"
            ax.set(xlabel="channel", ylabel="channel", title=title)
            ax.locator_params(integer=True)
            ax.grid(visible=False)
            fig.colorbar(picture, ax=ax, label="similarity (squared cosine)")
        return fig


def channel_diversity(maps: Any) -> ChannelDiversity:
    """Measure how much the channels of feature maps repeat each other.

    Channels are compared as vectors of pixels, image by image, through the cosines between them. The mean distance
    is the one of Woo et al. 2023 (https://arxiv.org/abs/2301.00808). It cannot see a copy with the opposite sign;
    the participation ratio can. Dead channels have no direction and are left out of both.

    Args:
        maps: Array or tensor of shape `(batch, height, width, channels)`.

    Returns:
        A `ChannelDiversity`.

    Raises:
        ValueError: If `maps` is not a batch of images, or not all of its numbers are finite.

    >>> ramp = np.linspace(-1, 1, 16, dtype="float32").reshape(1, 4, 4, 1)
    >>> channel_diversity(np.concatenate([ramp, 2 * ramp, -ramp, -3 * ramp], axis=-1))
    cosine distance  participation ratio  dead channels  channels
    0.500                            1.0          0.0 %         4
    """
    maps = ops.convert_to_numpy(maps).astype("float64")
    check_images("channel_diversity", maps.shape)
    if not (maps.size and np.isfinite(maps).all()):
        fail(
            "Channels cannot be compared.",
            "at least one image, all numbers of which are finite",
            f"maps of shape {maps.shape}, {maps.size - np.isfinite(maps).sum()} numbers of them not finite",
            "Look for an overflow in the layer that made them.",
        )
    vectors = maps.reshape(len(maps), -1, maps.shape[-1])  # (B, H * W, C)
    lengths = np.sqrt(np.sum(vectors**2, axis=1, keepdims=True))  # (B, 1, C)
    alive = lengths >= np.maximum(DEAD * lengths.max(-1, keepdims=True), np.finfo("float64").tiny)
    vectors = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=alive)
    cosines = np.swapaxes(vectors, 1, 2) @ vectors  # (B, C, C)
    pairs = alive & np.swapaxes(alive, 1, 2)
    number, similarity = np.sum(alive, axis=(1, 2)), cosines**2
    some = number > 0
    ratios = number[some] ** 2 / np.sum(similarity, axis=(1, 2))[some]
    distances = np.sum((1 - cosines) / 2 * pairs, axis=(1, 2))[some] / number[some] ** 2
    return ChannelDiversity(
        distance=float(np.mean(distances)) if some.any() else 0.0,
        participation_ratio=float(np.mean(ratios)) if some.any() else 0.0,
        dead=float(np.mean(~alive)),
        channels=maps.shape[-1],
        similarity=similarity.mean(axis=0),
    )
