from typing import Any

import keras

from dlt._check import check_positive
from dlt.layers._types import Shape, Tensor


@keras.saving.register_keras_serializable(package="dlt")
class LayerScale(keras.layers.Layer):
    """Multiply every channel by a learned factor that starts near zero.

    A residual branch that is almost silent at first makes a deep network start as (nearly) the identity, which is
    easy to train; each channel then turns its own volume up:

    `y[..., c] = gamma[c] * x[..., c]`

    Reference: Touvron et al. 2021, "Going deeper with Image Transformers" (https://arxiv.org/abs/2103.17239).

    Args:
        initial_value: Positive float. What every gamma starts as. ConvNeXt V1 uses 1e-6.

    Input shape: `(..., channels)`.
    Output shape: the same.

    Raises:
        ValueError: If `initial_value` is not a finite number greater than 0.

    >>> layer = LayerScale(initial_value=0.5)
    >>> keras.ops.convert_to_numpy(layer(keras.ops.ones((1, 2)))).tolist()
    [[0.5, 0.5]]
    """

    def __init__(self, initial_value: float = 1e-6, **kwargs: Any):
        super().__init__(**kwargs)
        self.initial_value = check_positive("initial_value", initial_value)

    def build(self, input_shape: Shape) -> None:
        self.gamma = self.add_weight(
            name="gamma", shape=(input_shape[-1],), initializer=keras.initializers.Constant(self.initial_value)
        )

    def call(self, inputs: Tensor) -> Tensor:
        return inputs * self.gamma

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict:
        return {**super().get_config(), "initial_value": self.initial_value}
