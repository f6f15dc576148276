from typing import Any

import keras
from keras import ops

from dlt._check import check_images, check_positive_int
from dlt.layers._composite import Composite
from dlt.layers._projection import Projection, batch_norm, check_sides, leaky, pyramid
from dlt.layers._types import Regularizer, Shape, Tensor


@keras.saving.register_keras_serializable(package="dlt")
class HANCLayer(Composite):
    """Show each pixel the mean and the maximum of the blocks it lies in: 2 x 2, 4 x 4, ..., `2**(k-1)` a side.

    `y = leaky(BN(conv1x1([x, avg_2 x, ..., max_2 x, ...])))`, hierarchical aggregation of neighbourhood context. Each
    pooled map is upsampled to the nearest pixel, so all pixels of a block see the same: the reach is the aligned block
    of `2**(k-1)` pixels a side, not a window around the pixel and not the image.

    Written down like that, the convolution reads `(2k - 1) C` channels at full size. Here each pooled map goes through
    its rows of the same kernel at its own size, and the narrow results are upsampled: the same function and the same
    weights for about half of the multiply-adds and, at k = 3, a quarter of the memory.

    Reference: Ibtehaz and Kihara 2023, "ACC-UNet" (https://arxiv.org/abs/2308.13680).

    Args:
        filters: Whole number of output channels.
        k: Whole number of sizes, the pixel itself included: 1 pools nothing, 3 pools by 2 and 4.
        kernel_regularizer: Optional Keras regularizer for the kernel, whose rows are in the order `x`, averages from
            fine to coarse, maxima from fine to coarse.

    Input shape: `(batch, height, width, channels)`, height and width multiples of `2**(k-1)`.
    Output shape: `(batch, height, width, filters)`.

    Raises:
        ValueError: If an argument is out of range, the input is not a batch of images, or a side cannot be halved
            k - 1 times.

    >>> tuple(HANCLayer(8, k=3)(keras.ops.ones((1, 12, 4, 6))).shape)
    (1, 12, 4, 8)
    """

    def __init__(self, filters: int, k: int = 3, kernel_regularizer: Regularizer = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.filters = check_positive_int("filters", filters)
        self.k = check_positive_int("k", k)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

    def build_parts(self, input_shape: Shape) -> None:
        check_images("HANCLayer", input_shape)
        pools = range(1, self.k)
        self.project = Projection(
            self.filters, (0, *pools, *pools), self.kernel_regularizer, dtype=self.dtype_policy, name="project"
        )
        self.norm = batch_norm("norm", self.dtype_policy)
        self.project.build([input_shape] * (2 * self.k - 1))
        self.norm.build(self.compute_output_shape(input_shape))

    def call(self, inputs: Tensor) -> Tensor:
        self._check_sides(tuple(inputs.shape))  # sides that a graph does not know are None
        averages, maxima = (pyramid(inputs, pool, self.k - 1) for pool in (ops.average_pool, ops.max_pool))
        return leaky(self.norm(self.project([inputs, *averages, *maxima])))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        self._check_sides(input_shape)
        return (*input_shape[:-1], self.filters)

    def _check_sides(self, shape):
        check_sides(f"HANCLayer(k={self.k})", shape, 2 ** (self.k - 1), "Pad or resize the image, or pass a smaller k.")

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "filters": self.filters,
            "k": self.k,
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }
