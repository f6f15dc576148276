import dataclasses
import math

from keras import layers

from dlt.measure._table import Table, largest
from dlt.measure._trace import calls

DENSE = (
    layers.Dense,
    layers.Conv1D,
    layers.Conv2D,
    layers.Conv3D,
    layers.DepthwiseConv1D,
    layers.DepthwiseConv2D,
)
TRANSPOSED = (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)
SEPARABLE = (layers.SeparableConv1D, layers.SeparableConv2D)
ELEMENTWISE = (layers.Embedding, layers.PReLU)  # they own arrays, but multiply no matrices
ATTENTION = (layers.Attention, layers.MultiHeadAttention, layers.GroupQueryAttention)  # products without weights


@dataclasses.dataclass(frozen=True, repr=False)
class Macs(Table):
    """Multiply-adds of one forward pass on one input.

    Attributes:
        total: Whole number of multiply-adds.
        per_layer: Dict, path of a layer -> its multiply-adds, in the order of the calls.
        uncounted: Tuple of the paths of layers with matrices or kernels whose arithmetic this does not know.
    """

    total: int
    per_layer: dict
    uncounted: tuple

    @property
    def giga(self):
        """Return the total in GMAC, 10^9 multiply-adds."""
        return self.total / 1e9

    @property
    def per_top_layer(self):
        """Return a dict, name of a top-level layer -> the multiply-adds of all that is inside."""
        top = {}
        for path, count in self.per_layer.items():
            name = path.partition("/")[0]
            top[name] = top.get(name, 0) + count
        return top

    def rows(self):
        """Return a row per top-level layer, the total, and what was not counted."""
        rows = [(name, f"{count / 1e6:,.3f}") for name, count in self.per_top_layer.items()]
        missing = [(path, "not counted") for path in self.uncounted]
        return [("layer", "million multiply-adds"), *rows, *missing, ("total", f"{self.total / 1e6:,.3f}")]

    def plot(self):
        """Draw the multiply-adds of every top-level layer; of many, the largest, and the others as one bar."""
        from dlt.plot import bars  # matplotlib is slow to import, and only figures need it

        millions = {name: count / 1e6 for name, count in largest(self.per_top_layer).items()}
        return bars(millions, xlabel="million multiply-adds", form="{:,.3f}")


def macs(model, input_shape=None):
    """Count the multiply-adds of a Keras model by tracing shapes; nothing is computed.

    Counted are convolutions of all kinds (depthwise, grouped, transposed, separable) and dense layers, wherever they
    stand: in composite layers, nested and subclassed models, called once or often. As in the literature, additions of
    biases, normalizations, activations and pooling are left out. A layer that owns a matrix or kernel but is of none
    of these kinds is listed in `uncounted` rather than passed over.

    Args:
        model: A built Keras model or layer.
        input_shape: Shape of one input without the batch; needed where the model leaves sides open.

    Returns:
        A `Macs`.

    Raises:
        ValueError: If the shape of the input is not known.

    >>> import keras
    >>> model = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Conv2D(8, 3, padding="same", name="conv")])
    >>> macs(model).total == 32 * 32 * 8 * (3 * 3 * 3)
    True
    """
    per_layer, uncounted = {}, {}
    for call in calls(model, input_shape):
        count = multiply_adds(call.layer, call.input_shape, call.output_shape)
        if count is None:
            uncounted[call.path] = None
        elif count:
            per_layer[call.path] = per_layer.get(call.path, 0) + count
    return Macs(sum(per_layer.values()), per_layer, tuple(uncounted))


def multiply_adds(layer, input_shape, output_shape):
    """Return the multiply-adds of one call, without those of the layers inside; None if they are not known."""
    if isinstance(layer, DENSE):  # every output sums over one output channel's share of the kernel
        return math.prod(output_shape) * size(layer.kernel) // channels(layer, output_shape)
    if isinstance(layer, TRANSPOSED):  # every input is spread over one input channel's share of the kernel
        return math.prod(input_shape) * size(layer.kernel) // channels(layer, input_shape)
    if isinstance(layer, SEPARABLE):
        positions = math.prod(output_shape) // channels(layer, output_shape)
        return positions * (size(layer.depthwise_kernel) + size(layer.pointwise_kernel))
    if isinstance(layer, layers.EinsumDense):
        _, kernel, output = layer.equation.replace("...", "").replace("->", ",").split(",")
        summed = (side for label, side in zip(kernel, layer.kernel.shape, strict=True) if label not in output)
        return math.prod(output_shape) * math.prod(summed)
    inner = {id(weight) for child in layer._flatten_layers(include_self=False) for weight in child.weights}
    own = (weight for weight in layer.weights if id(weight) not in inner)
    matrices = any(len(weight.shape) > 1 for weight in own) and not isinstance(layer, ELEMENTWISE)
    return None if matrices or isinstance(layer, ATTENTION) else 0


def size(weight):
    """Return how many numbers a weight holds."""
    return math.prod(weight.shape)


def channels(layer, shape):
    """Return the number of channels in a shape that the layer gets or gives."""
    return shape[1] if getattr(layer, "data_format", "") == "channels_first" else shape[-1]
