import keras

from dlt.layers._convnext_block import ConvNeXtBlock
from dlt.layers.global_response_normalization import GlobalResponseNormalization


@keras.saving.register_keras_serializable(package="dlt")
class ConvNeXtV2Block(ConvNeXtBlock):
    """The ConvNeXt V2 block: V1's, with channels that compete where the block is widest.

    Global response normalization stands on the expanded channels, between GELU and projection. LayerScale is gone:
    with GRN it is no longer needed.

    `y = x + drop(W2 GRN(gelu(W1 LN(depthwise(x)))))`

    Every weight is in `block.branch`, a list of named layers in the order of the formula.

    `block(x, visible=mask)` hides the pixels where `mask`, of shape `(batch, height, width, 1)`, is 0 from all others
    (see `dlt.models.MaskedAutoencoder`).

    Reference: Woo et al. 2023, "ConvNeXt V2" (https://arxiv.org/abs/2301.00808).

    Args:
        kernel_size: Whole number, the side of the depthwise kernel.
        drop_path_rate: Float in [0, 1), the probability that stochastic depth drops a sample's branch in training.
        kernel_regularizer: Optional Keras regularizer for the depthwise and dense kernels.
        use_bias: Boolean, whether anything is added inside the branch, LayerNorm's and GRN's beta included.
        normalization: "layer", "bias_free_batch" (`BiasFreeBatchNormalization`), or None for none.
        activation: Name of a Keras activation, or a function. Without bias, with a normalization other than "layer",
            and with "relu" or "leaky_relu", the block keeps the scale: `f(a x) = a f(x)` at inference.

    Input shape: `(batch, height, width, channels)`.
    Output shape: the same.

    Raises:
        ValueError: If an argument is out of range, or the input is not a batch of images.

    >>> block = ConvNeXtV2Block(drop_path_rate=0.1)
    >>> tuple(block(keras.ops.zeros((1, 8, 8, 40))).shape)
    (1, 8, 8, 40)
    """

    def before_projection(self) -> list[keras.layers.Layer]:
        epsilon = 1e-6 if self.normalization == "layer" else 0.0  # an added constant would break what the block keeps
        return [GlobalResponseNormalization(epsilon, self.use_bias, dtype=self.dtype_policy, name="grn")]
