import contextlib
import dataclasses

import keras
from keras import layers

from dlt.measure._counter import Counter
from dlt.measure._largest import largest
from dlt.measure._trace import Run, calling, own_call, parts, symbolic_inputs
from dlt.show import Table

ELEMENTWISE = (  # they own arrays, but multiply no matrices
    layers.BatchNormalization,
    layers.Embedding,
    layers.GroupNormalization,
    layers.LayerNormalization,
    layers.PReLU,
    layers.RMSNormalization,
)
REHEARSAL = "_maybe_config_dropout_masks"  # runs stacked cells for one step, only to see the shapes


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


def macs(model: keras.Layer, input_shape: tuple | None = None) -> Macs:
    """Count the multiply-adds of a Keras model by tracing shapes; nothing is computed.

    Counted are the products of `keras.ops` (`matmul`, `@`, `dot`, `tensordot`, `einsum`, convolutions of all kinds,
    attention), wherever they stand: in layers of Keras and of one's own, quantized ones too, in nested and subclassed
    models, called once or often. The body of a loop counts times its steps (`RNN`, `fori_loop`, `scan`, `map`); of
    branches (`cond`, `switch`), the most expensive counts. As in the literature, additions of biases, normalizations,
    activations, pooling and products element by element are left out.

    What cannot be counted is listed in `uncounted` rather than passed over: products in a `while_loop`, whose steps
    depend on data, an `einsum` of three factors or more, decompositions and Fourier transforms, and a layer that owns a
    matrix and never multiplies by way of `keras.ops`. Not seen is a product of two maps that goes past `keras.ops`,
    straight to TensorFlow, JAX or PyTorch.

    Args:
        model: A built Keras model or layer.
        input_shape: Shape of one input without the batch; needed where the model leaves sides open.

    Returns:
        A `Macs`.

    Raises:
        ValueError: If the shape of the input is not known.

    >>> model = keras.Sequential([keras.Input((32, 32, 3)), layers.Conv2D(8, 3, padding="same", name="conv")])
    >>> macs(model).total == 32 * 32 * 8 * (3 * 3 * 3)
    True
    >>> macs(keras.Sequential([keras.Input((10, 4)), layers.SimpleRNN(6)])).total == 10 * (4 * 6 + 6 * 6)
    True
    """
    inputs, counter, inside = symbolic_inputs(model, input_shape), Counter(), dict(parts(model))
    with contextlib.ExitStack() as stack:
        stack.enter_context(counter.listening())
        for path, part in inside.items():
            stack.enter_context(calling(part, counter.under(path, own_call(part)[1])))
            if isinstance(part, layers.RNN):
                stack.enter_context(calling(part, counter.unheard(getattr(part, REHEARSAL)), REHEARSAL))
        Run(model, begin=counter.operators)(inputs)
    silent = (path for path in counter.ran if path not in counter.heard and owns_matrix(inside[path]))
    uncounted = tuple(counter.uncounted | dict.fromkeys(silent))
    return Macs(sum(counter.counts.values()), counter.counts, uncounted)


def owns_matrix(part: keras.Operation) -> bool:
    """Return whether a layer owns, without the layers inside, a weight that one would multiply maps with."""
    if not isinstance(part, keras.Layer) or isinstance(part, ELEMENTWISE):
        return False
    inner = {id(weight) for child in part._flatten_layers(include_self=False) for weight in child.weights}
    own = (weight.shape for weight in part.weights if id(weight) not in inner)
    return any(sum(side > 1 for side in shape) > 1 for shape in own)
