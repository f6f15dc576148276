import dataclasses

import keras
import numpy as np
from keras import ops

from dlt._check import check_images, check_rate, fail
from dlt.measure._gradients import input_gradient, layer_output, middle, random_weights
from dlt.measure._propagate import check_channels_last
from dlt.measure.receptive_field import place
from dlt.show import Table

PIXELS_AT_ONCE = 2**18  # images per gradient: as many as make up this


@dataclasses.dataclass(frozen=True, repr=False)
class EffectiveReceptiveField(Table):
    """How much each input pixel matters to the middle output.

    Attributes:
        influence: Array of the image's height and width, each pixel's share of the influence; its sum is 1.
        centre: `(row, column)` of the output's place in the image, in pixels: where its exact receptive field has its
            centre, sums over the entire image left out. The middle of the image, if the output is no map.
    """

    influence: np.ndarray
    centre: tuple

    @property
    def radius(self) -> float:
        """Return the radius in pixels of the disc around the centre that holds 95 % of the influence."""
        return self.radius_of(0.95)

    @property
    def distance(self) -> np.ndarray:
        """Return how far each pixel is from the centre, in pixels."""
        rows, columns = np.indices(self.influence.shape)
        return np.hypot(rows - self.centre[0], columns - self.centre[1])

    @property
    def spread(self) -> float:
        """Return the root mean square distance from the centre, in pixels, each pixel counted by its influence."""
        return float(np.sqrt(np.sum(self.influence * self.distance**2)))

    def radius_of(self, share: float) -> float:
        """Return the radius in pixels of the disc that holds this share of the influence."""
        distance = self.distance.ravel()
        order = np.argsort(distance, kind="stable")
        held = np.cumsum(self.influence.ravel()[order])
        return float(distance[order][np.searchsorted(held, check_rate("share", share) * held[-1])])

    def rows(self) -> list[tuple]:
        """Return the radii that hold half and 95 % of the influence, and its spread."""
        return [
            ("influence", "pixels"),
            ("50 % within", f"{self.radius_of(0.5):.1f}"),
            ("95 % within", f"{self.radius:.1f}"),
            ("spread", f"{self.spread:.1f}"),
        ]

    def plot(self):
        """Return a figure of the influence, in powers of ten below the strongest pixel, with the 95 % circle."""
        from dlt.plot import figure

        decades = np.log10(np.maximum(self.influence / self.influence.max(), 1e-4))  # no influence: the darkest
        turn = np.linspace(0, 2 * np.pi, 100)
        with figure(size=(5, 4.2)) as (fig, ax):
            picture = ax.imshow(decades, cmap="magma", vmin=-4, vmax=0)
            ax.plot(self.centre[1] + self.radius * np.cos(turn), self.centre[0] + self.radius * np.sin(turn), "w--")
            ax.set(xlabel="column (pixels)", ylabel="row (pixels)", title=f"95 % within {self.radius:.1f} pixels")
            ax.grid(visible=False)
            fig.colorbar(picture, ax=ax, label="influence (power of ten)")
        return fig


def effective_receptive_field(
    model: keras.Layer, images: np.ndarray, layer: str | None = None, seed: int = 0
) -> EffectiveReceptiveField:
    """Measure how far an output really looks: the mean size of its derivatives, pixel by pixel, over real images.

    A receptive field says which pixels can matter, not how much. Luo et al. showed that in plain stacks of
    convolutions the influence falls off like a Gaussian, so that most of the field hardly counts. Per image the
    channels of the middle output get random weights `v`, and

    `influence[i, j] = mean over images of sum_c |d(v . y_middle) / d x[i, j, c]|`,

    divided by its sum.

    Reference: Luo et al. 2016, "Understanding the Effective Receptive Field in Deep Convolutional Neural Networks"
    (https://arxiv.org/abs/1701.04128).

    Args:
        model: A built Keras model of any kind.
        images: Array of shape `(batch, height, width, channels)`, as the model wants them.
        layer: String, the name of a layer; inside others its path, `"block/norm"`. None means the model's output.
        seed: Whole number, for the weights `v`.

    Returns:
        An `EffectiveReceptiveField`.

    Raises:
        ValueError: If `images` is not a batch of images, the model takes them with channels first, there is no such
            layer or there are several, or it has several outputs.

    >>> import keras
    >>> model = keras.Sequential([keras.Input((9, 9, 1)), keras.layers.AveragePooling2D(3, 1, padding="same")])
    >>> effective_receptive_field(model, np.ones((1, 9, 9, 1)))
    influence    pixels
    50 % within     1.0
    95 % within     1.4
    spread          1.2
    """
    images = ops.convert_to_numpy(images).astype("float32")
    check_images("effective_receptive_field", images.shape)
    check_channels_last(model, images.shape[1:])
    sides = images.shape[1:3]
    rng = np.random.default_rng(seed)
    output_shape = layer_output(model, layer)(images[:1]).shape[1:]
    at = middle(output_shape)
    influence = np.zeros(sides)
    batch = max(1, PIXELS_AT_ONCE // (sides[0] * sides[1]))
    for start in range(0, len(images), batch):
        part = images[start : start + batch]
        gradient = input_gradient(model, part, random_weights(rng, len(part), output_shape, at), layer)
        influence += np.abs(gradient).sum(axis=(0, 3))
    if not 0 < influence.sum() < np.inf:
        fail(
            f"No pixel has an influence that can be measured on the output of {model.name}.",
            "derivatives that are finite and not all zero",
            f"layer={layer!r}",
            "Check that the output depends on the image, and for overflow.",
        )
    influence /= influence.sum()
    return EffectiveReceptiveField(influence, centre_of(model, layer, images.shape[1:], at, influence))


def centre_of(model, layer, shape, at, influence):
    """Return where in an image of some shape the output at a position has its place, as (row, column).

    Along an axis for which the exact field does not tell, it is the centre of mass of the influence.
    """
    if at is None:
        return tuple((side - 1) / 2 for side in shape[:2])
    field, centre = place(model, layer, shape), []
    for i, axis, others in zip(at, (field.height, field.width) if field else (None, None), (1, 0), strict=True):
        if axis and axis.stride is not None:
            centre.append(axis.offset + axis.stride * i)
        elif axis and not axis.whole and axis.inside[i]:
            centre.append(float(axis.first[i] + axis.last[i]) / 2)
        else:
            centre.append(float(influence.sum(others) @ np.arange(influence.shape[1 - others])))
    return tuple(centre)
