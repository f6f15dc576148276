import itertools
from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops

from dlt._check import check_images, check_positive_int, fail
from dlt.layers._composite import Composite
from dlt.layers._projection import Projection, batch_norm, leaky, pyramid
from dlt.layers._types import Regularizer, Shape, Tensor
from dlt.layers.squeeze_excitation import SqueezeExcitation


@keras.saving.register_keras_serializable(package="dlt")
class MLFCLayer(Composite):
    """Multi-level feature compilation: let each level of a U-Net's skip connections hear all the others.

    For each level, bring the other levels to its size (average pooling by 2, or nearest upsampling by 2, repeated),
    compile all by a 1x1 convolution, merge that with the level's own map by another, and add the own map:
    `c = leaky(BN(F([x_1, ..., x_n])))`, `y = leaky(BN(G([c, x]) + x))`, `SE(y)`, where F and G are a 1x1 convolution,
    batch normalization, leaky ReLU and `SqueezeExcitation`.

    Coarser maps go through their rows of the kernel at their own size and are upsampled afterwards, narrower, and finer
    ones after pooling; nothing is concatenated. It is the same function for fewer multiply-adds.

    Reference: Ibtehaz and Kihara 2023, "ACC-UNet" (https://arxiv.org/abs/2308.13680).

    Args:
        channels_list: Channels of each level, finest first; at least two levels.
        num_iterations: Whole number, how often all of this is repeated, each time with weights of its own.
        kernel_regularizer: Optional Keras regularizer for the kernels of the convolutions.

    Input: a list of maps, finest first, shapes `(batch, height / 2**level, width / 2**level, channels)`, each half as
        high and wide as the one before.
    Output: a list of maps of the same shapes.

    Raises:
        ValueError: If an argument is out of range, or the inputs are not such a list.

    >>> maps = [keras.ops.ones((1, 8, 12, 4)), keras.ops.ones((1, 4, 6, 8)), keras.ops.ones((1, 2, 3, 16))]
    >>> [tuple(x.shape) for x in MLFCLayer([4, 8, 16])(maps)]
    [(1, 8, 12, 4), (1, 4, 6, 8), (1, 2, 3, 16)]
    """

    def __init__(
        self,
        channels_list: Sequence[int],
        num_iterations: int = 1,
        kernel_regularizer: Regularizer = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.channels_list = [check_positive_int("channels_list", channels) for channels in channels_list]
        self.num_iterations = check_positive_int("num_iterations", num_iterations)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        if len(self.channels_list) < 2:
            fail(
                "MLFCLayer has nothing to compile.",
                "at least two levels",
                f"channels_list={self.channels_list}",
                "Give the channels of every level, finest first.",
            )

    def build_parts(self, input_shape: Sequence[Shape]) -> None:
        self._check_levels(input_shape)
        self.steps = [
            [self._fusions(iteration, level) for level in range(len(self.channels_list))]
            for iteration in range(self.num_iterations)
        ]
        for step in self.steps:
            for (compiling, merging, excite), own in zip(step, input_shape, strict=True):
                compiling.build(input_shape)
                merging.build([own, own])
                excite.build(own)

    def _fusions(self, iteration, level):
        """Return what one level goes through in one iteration: F, G and SE."""
        channels, name = self.channels_list[level], f"iteration_{iteration}_level_{level}"
        sizes = [max(other - level, 0) for other in range(len(self.channels_list))]  # finer ones come pooled
        settings = {"kernel_regularizer": self.kernel_regularizer, "dtype": self.dtype_policy}
        return [
            Fusion(channels, sizes, name=f"{name}_compile", **settings),
            Fusion(channels, (0, 0), name=f"{name}_merge", **settings),
            SqueezeExcitation(dtype=self.dtype_policy, name=f"{name}_excite"),
        ]

    def call(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        self._check_levels([tuple(x.shape) for x in inputs])  # sides that a graph does not know are None
        maps = list(inputs)
        for step in self.steps:
            maps = self._exchange(maps, step)
        return maps

    def _exchange(self, maps, step):
        """Return the maps after one iteration, in which each has heard all others."""
        deepest = len(maps) - 1
        sizes = [[x, *pyramid(x, ops.average_pool, deepest - level)] for level, x in enumerate(maps)]
        new = []
        for level, (own, (compiling, merging, excite)) in enumerate(zip(maps, step, strict=True)):
            heard = [pools[max(level - other, 0)] for other, pools in enumerate(sizes)]
            new.append(excite(merging([compiling(heard), own], own)))
        return new

    def compute_output_shape(self, input_shape: Sequence[Shape]) -> list[Shape]:
        self._check_levels(input_shape)
        return [tuple(shape) for shape in input_shape]

    def _check_levels(self, shapes):
        """Raise unless the inputs have the promised channels, and each is half as high and wide as the one before."""
        several = isinstance(shapes, (list, tuple)) and all(isinstance(shape, (list, tuple)) for shape in shapes)
        if not several or [shape[-1] for shape in shapes] != self.channels_list:
            fail(
                "MLFCLayer takes a list of maps, one for each level, finest first.",
                f"{len(self.channels_list)} maps with {self.channels_list} channels",
                f"input_shape={[tuple(shape) for shape in shapes] if several else shapes}",
                "Pass the levels in the order of `channels_list`.",
            )
        for shape in shapes:
            check_images("MLFCLayer", shape)
        for fine, coarse in itertools.pairwise(shapes):
            for a, b in zip(fine[1:3], coarse[1:3], strict=True):
                if isinstance(a, int) and isinstance(b, int) and a != 2 * b:
                    fail(
                        "MLFCLayer brings maps to each other's size by factors of 2.",
                        "maps each half as high and wide as the one before",
                        f"input_shape={[tuple(shape) for shape in shapes]}",
                        f"A side of {a} needs one of {a / 2:g} below it; images whose sides are multiples of "
                        f"{2 ** (len(shapes) - 1)} can be halved this often.",
                    )

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "channels_list": self.channels_list,
            "num_iterations": self.num_iterations,
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }


class Fusion(layers.Layer):
    """One map out of several: 1x1 convolution, BN, leaky ReLU and SE, then, with an optional sum, BN and leaky ReLU."""

    def __init__(self, filters, levels, kernel_regularizer=None, **kwargs):
        super().__init__(**kwargs)
        policy = self.dtype_policy
        self.project = Projection(filters, levels, kernel_regularizer, dtype=policy, name="project")
        self.norm = batch_norm("norm", policy)
        self.excite = SqueezeExcitation(dtype=policy, name="excite")
        self.out_norm = batch_norm("out_norm", policy)

    def build(self, input_shape):
        self.project.build(input_shape)
        for layer in (self.norm, self.excite, self.out_norm):
            layer.build((None, None, None, self.project.conv.filters))

    def call(self, inputs, own=None):
        x = self.excite(leaky(self.norm(self.project(inputs))))
        return leaky(self.out_norm(x if own is None else ops.add(x, own)))

    def compute_output_shape(self, input_shape):
        return self.project.compute_output_shape(input_shape)
