"""What ACC-UNet's layers share: their activation and normalization, and 1x1 convolutions of maps of several sizes."""

import itertools

from keras import layers, ops

from dlt._check import fail
from dlt.layers._repeat_pixels import repeat_pixels


def leaky(x):
    """Return ACC-UNet's activation; Keras's own default slope is 0.3 in the layer and 0.2 in the function."""
    return ops.leaky_relu(x, negative_slope=0.01)


def batch_norm(name, dtype):
    """Return ACC-UNet's normalization; Keras's own defaults are 1e-3 and 0.99."""
    return layers.BatchNormalization(epsilon=1e-5, momentum=0.9, dtype=dtype, name=name)


def check_sides(owner, shape, multiple, fix):
    """Raise unless the sides of an image's shape, where they are known, are multiples of a number."""
    sides = shape[1:3]
    if all(side % multiple == 0 for side in sides if isinstance(side, int)):
        return
    fail(
        f"{owner} halves this image to sides that are not whole.",
        f"height and width that are multiples of {multiple}",
        f"shape={tuple(side if isinstance(side, int) else None for side in shape)}",
        f"The nearest that work: {' and '.join(nearest(side, multiple) for side in sides)}. {fix}",
    )


def nearest(side, multiple):
    """Return in words the multiples nearest to a side."""
    if not isinstance(side, int):
        return f"any multiple of {multiple}"
    below, above = side // multiple * multiple, -(-side // multiple) * multiple
    return " or ".join(str(size) for size in sorted({below, above} - {0})) or str(multiple)


def pyramid(x, pool, levels):
    """Return a map pooled by 2, by 4, ...: each from the one before, which is pooling by 4 at a quarter of the cost."""
    maps = [x]
    for _ in range(levels):
        maps.append(pool(maps[-1], 2, strides=2, padding="valid", data_format="channels_last"))
    return maps[1:]


def add_upsampled(fine, coarse):
    """Return `fine` plus `coarse`, each pixel of which stands for 2 x 2 of `fine`."""
    return ops.add(fine, repeat_pixels(coarse))


class Share(layers.Conv2D):
    """What some input channels contribute to a 1x1 convolution: each call is handed a part of that one's kernel."""

    def __init__(self, whole, channels, use_bias):
        settings = {"data_format": "channels_last", "dtype": whole.dtype_policy, "name": f"share_{channels.start}"}
        super().__init__(whole.filters, 1, use_bias=use_bias, **settings)
        self._kernel_of = lambda: whole.kernel[:, :, channels]  # behind a function, it is not tracked a second time
        self._bias_of = lambda: whole.bias

    kernel = property(lambda self: self._kernel_of())
    bias = property(lambda self: self._bias_of())

    def build(self, inputs_shape, kernel_shape): ...

    def call(self, inputs, kernel):
        outputs = self.convolution_op(inputs, kernel)
        return ops.add(outputs, self.bias) if self.use_bias else outputs

    def compute_output_shape(self, inputs_shape, kernel_shape):
        return (*inputs_shape[:-1], self.filters)

    def save_own_variables(self, store): ...

    def load_own_variables(self, store): ...


class Projection(layers.Layer):
    """The 1x1 convolution of a concatenation of maps that are upsampled to one size: without upsampling them.

    Convolving a concatenation is adding up what each map contributes, through its own rows of the kernel; and a 1x1
    convolution does not care whether pixels are repeated before it or after it. So each map is convolved at its own
    size, where it has 4, 16, ... times fewer pixels, and only the narrow results are upsampled and added, from the
    coarsest up. Neither the upsampled maps nor their concatenation are ever written.

    There is one kernel, in the order of the maps, and one bias: the weights of a plain `Conv2D`.

    Args:
        filters: Whole number of output channels.
        levels: For each map, how often it has been halved; each number from 0 to the largest is there.
        kernel_regularizer: Optional Keras regularizer for the kernel.

    Input: a list of maps, shapes `(batch, height / 2**level, width / 2**level, channels)`.
    Output shape: `(batch, height, width, filters)`.
    """

    def __init__(self, filters, levels, kernel_regularizer=None, **kwargs):
        super().__init__(**kwargs)
        self.levels = tuple(levels)
        self.conv = layers.Conv2D(
            filters,
            1,
            data_format="channels_last",
            kernel_regularizer=kernel_regularizer,
            dtype=self.dtype_policy,
            name="conv",
        )

    def build(self, input_shape):
        self.ends = ends = list(itertools.accumulate(shape[-1] for shape in input_shape))
        self.conv.build((None, None, None, ends[-1]))
        last = self.levels.index(max(self.levels))  # the bias is added where there are fewest pixels
        self.shares = [
            Share(self.conv, slice(start, end), use_bias=index == last)
            for index, (start, end) in enumerate(itertools.pairwise([0, *ends]))
        ]

    def call(self, inputs):
        # One split, and not a slice for each map: the gradient of a slice is as large as the whole.
        kernel, ends = self.conv.kernel, self.ends[:-1]
        kernels = ops.split(kernel, ends, axis=2) if ends else [kernel]
        shares, total = list(zip(self.levels, self.shares, inputs, kernels, strict=True)), None
        for level in range(max(self.levels), -1, -1):
            parts = [share(x, kernel) for at, share, x, kernel in shares if at == level]
            same_size = sum(parts[1:], start=parts[0])
            total = same_size if total is None else add_upsampled(same_size, total)
        return total

    def compute_output_shape(self, input_shape):
        return (*input_shape[self.levels.index(0)][:-1], self.conv.filters)
