import keras
from keras import layers

from dlt._check import check_choice, check_images, check_positive_int, check_rate
from dlt.layers.bias_free_batch_normalization import BiasFreeBatchNormalization
from dlt.layers.stochastic_depth import StochasticDepth


def kernel_initializer():
    """Return the ConvNeXt initializer, a fresh one per kernel: one shared instance would repeat its values."""
    return keras.initializers.TruncatedNormal(stddev=0.02)


NORMALIZATIONS = ("layer", "bias_free_batch", None)


def normalize(normalization, use_bias, dtype):
    """Return the list of layers, one or none, that a name in `NORMALIZATIONS` stands for."""
    if normalization == "layer":
        return [layers.LayerNormalization(epsilon=1e-6, center=use_bias, dtype=dtype, name="norm")]
    if normalization == "bias_free_batch":
        return [BiasFreeBatchNormalization(dtype=dtype, name="norm")]
    return []


class ConvNeXtBlock(layers.Layer):
    """What ConvNeXt's two blocks share: a chain of layers whose result is added to the input.

    `y = x + branch(x)`: depthwise convolution, normalization, expand four times, activation, `before_projection()`,
    project back, `after_projection()`, stochastic depth. The chain is `self.branch`, in this order and by these names.
    """

    def __init__(
        self,
        kernel_size=7,
        drop_path_rate=0.0,
        kernel_regularizer=None,
        use_bias=True,
        normalization="layer",
        activation="gelu",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.kernel_size = check_positive_int("kernel_size", kernel_size)
        self.drop_path_rate = check_rate("drop_path_rate", drop_path_rate)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.use_bias = bool(use_bias)
        self.normalization = check_choice("normalization", normalization, NORMALIZATIONS)
        self.activation = keras.activations.get(activation)

    def before_projection(self):
        """Return the layers between GELU and projection, on the expanded channels."""
        return []

    def after_projection(self):
        """Return the layers between projection and stochastic depth."""
        return []

    def build(self, input_shape):
        check_images(type(self).__name__, input_shape)
        self.branch = self._branch(channels=input_shape[-1])
        shape = input_shape
        for layer in self.branch:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)

    def _branch(self, channels):
        policy = self.dtype_policy
        dense = {"kernel_regularizer": self.kernel_regularizer, "use_bias": self.use_bias, "dtype": policy}
        return [
            layers.DepthwiseConv2D(
                self.kernel_size,
                padding="same",
                use_bias=self.use_bias,
                depthwise_initializer=kernel_initializer(),
                depthwise_regularizer=self.kernel_regularizer,
                dtype=policy,
                name="depthwise",
            ),
            *normalize(self.normalization, self.use_bias, policy),
            layers.Dense(4 * channels, kernel_initializer=kernel_initializer(), name="expand", **dense),
            layers.Activation(self.activation, dtype=policy, name=getattr(self.activation, "__name__", "activation")),
            *self.before_projection(),
            layers.Dense(channels, kernel_initializer=kernel_initializer(), name="project", **dense),
            *self.after_projection(),
            StochasticDepth(self.drop_path_rate, dtype=policy, name="stochastic_depth"),
        ]

    def call(self, inputs):
        x = inputs
        for layer in self.branch:
            x = layer(x)
        return inputs + x

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "kernel_size": self.kernel_size,
            "drop_path_rate": self.drop_path_rate,
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
            "use_bias": self.use_bias,
            "normalization": self.normalization,
            "activation": keras.activations.serialize(self.activation),
        }
