from typing import Any

import keras
from keras import ops

from dlt._check import check_channels, check_fraction, check_positive
from dlt.layers._types import Shape, Tensor


@keras.saving.register_keras_serializable(package="dlt")
class BiasFreeBatchNormalization(keras.layers.Layer):
    """Batch normalization that only divides: no mean is subtracted, nothing is added.

    Ordinary batch normalization subtracts a stored mean and adds beta, also at inference. Both are constants, so an
    image half as bright no longer gives a map half as bright. What is left here keeps that promise: at inference
    `f(a x) = a f(x)` for every number `a`,

    `y_c = gamma_c x_c / sqrt(var_c + epsilon)`,

    where `var_c` is the variance of channel c over the batch and all positions while training, and its moving average
    at inference. While training the variance is of this very batch, so there the scale is forgotten, not kept.

    Reference: Mohan et al. 2020, "Robust and interpretable blind image denoising via bias-free convolutional neural
    networks" (https://arxiv.org/abs/1906.05478).

    Args:
        momentum: Float in [0, 1), the share of the moving average that survives one training step.
        epsilon: Positive float, added to the variance. It is a constant at inference, so it breaks no promise.

    Input shape: `(batch, ..., channels)`.
    Output shape: the same.

    Raises:
        ValueError: If an argument is out of range, or the number of channels is not known.

    >>> layer = BiasFreeBatchNormalization()
    >>> x = keras.random.normal((4, 8, 8, 3), mean=5.0, seed=0)
    >>> _ = layer(x, training=True)
    >>> bool(keras.ops.all(layer(2 * x) == 2 * layer(x)))
    True
    """

    def __init__(self, momentum: float = 0.99, epsilon: float = 1e-5, **kwargs: Any):
        super().__init__(**kwargs)
        self._precise = keras.backend.result_type(self.variable_dtype, "float32")  # at least
        self.momentum = check_fraction("momentum", momentum, "Pass momentum=0.99, or less for short trainings.")
        self.epsilon = check_positive("epsilon", epsilon)

    def build(self, input_shape: Shape) -> None:
        check_channels("BiasFreeBatchNormalization", input_shape)
        shape = (input_shape[-1],)
        self.gamma = self.add_weight(name="gamma", shape=shape, initializer="ones")
        self.moving_variance = self.add_weight(
            name="moving_variance",
            shape=shape,
            initializer="ones",
            dtype=self._precise,  # in bfloat16, a hundredth more or less would be lost in rounding
            trainable=False,
            autocast=False,
        )

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        variance = self.moving_variance
        if training and self.trainable:  # frozen, it normalizes as it will at inference, like Keras's own
            variance = ops.var(ops.cast(inputs, self._precise), axis=tuple(range(len(inputs.shape) - 1)))
            self.moving_variance.assign(self.momentum * self.moving_variance + (1 - self.momentum) * variance)
        factor = ops.cast(self.gamma, self._precise) / ops.sqrt(variance + self.epsilon)
        return inputs * ops.cast(factor, inputs.dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict:
        return {**super().get_config(), "momentum": self.momentum, "epsilon": self.epsilon}
