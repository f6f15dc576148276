import random

import keras
from keras import ops

from dlt._check import check_fraction, check_positive_int
from dlt.layers._dropout import STATE
from dlt.layers._types import Shape, Tensor


@keras.saving.register_keras_serializable(package="dlt")
class RandomMask(keras.layers.Layer):
    """Hide patches of each image at random, always the same share of them, in training and at inference.

    As every random layer of the package, it saves where it is in its sequence of random numbers.

    Args:
        ratio: Float in [0, 1), the share that is hidden.
        patch_size: Whole number, the side of a patch in pixels.
        seed: Optional integer.

    Input shape: `(batch, height, width, channels)`, sides multiples of `patch_size`.
    Output shape: `(batch, height / patch_size, width / patch_size, 1)`: 1 for visible patches, 0 for hidden ones.
    """

    def __init__(self, ratio, patch_size, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.ratio = check_fraction("mask_ratio", ratio, "Pass for example 0.6.")
        self.patch_size = check_positive_int("patch_size", patch_size)
        self.seed = random.randint(1, 10**9) if seed is None else seed
        self.seed_generator = keras.random.SeedGenerator(self.seed)

    def call(self, images: Tensor) -> Tensor:
        batch, *sides, _ = ops.shape(images)
        height, width = (side // self.patch_size for side in sides)
        hidden = ops.round(self.ratio * ops.cast(height * width, "float32"))
        draws = keras.random.uniform((batch, height * width), seed=self.seed_generator)
        ranks = ops.argsort(ops.argsort(draws, axis=-1), axis=-1)
        visible = ops.cast(ops.cast(ranks, "float32") >= hidden, self.compute_dtype)
        return ops.reshape(visible, (batch, height, width, 1))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        batch, *sides, _ = input_shape
        return (batch, *(side and side // self.patch_size for side in sides), 1)

    def get_config(self) -> dict:
        own = {"ratio": self.ratio, "patch_size": self.patch_size, "seed": self.seed}
        return super().get_config() | own

    def save_own_variables(self, store):
        """Save the state of the seed generator."""
        store[STATE] = self.seed_generator.state

    def load_own_variables(self, store):
        """Load what was saved; a file without it leaves the generator at its beginning."""
        if STATE in store:
            self.seed_generator.state.assign(store[STATE])


@keras.saving.register_keras_serializable(package="dlt")
class MaskToken(keras.layers.Layer):
    """Put one learned vector in the place of every hidden pixel of a map.

    Input shapes: the map, `(batch, height, width, channels)`, and `(batch, height, width, 1)`, 1 where it is visible.
    Output shape: the map's.
    """

    def build(self, shapes: list) -> None:
        normal = keras.initializers.RandomNormal(stddev=0.02)
        self.token = self.add_weight(name="token", shape=(shapes[0][-1],), initializer=normal)

    def call(self, inputs: list) -> Tensor:
        x, visible = inputs
        return x * visible + self.token * (1 - visible)

    def compute_output_shape(self, shapes: list) -> Shape:
        return shapes[0]
