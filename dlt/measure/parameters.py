import dataclasses
import math

import keras

from dlt.measure._largest import largest
from dlt.measure._trace import children, named
from dlt.show import Table


@dataclasses.dataclass(frozen=True, repr=False)
class Parameters(Table):
    """How many numbers a model holds.

    Attributes:
        trainable: Whole number, those that training changes.
        fixed: Whole number, the others (frozen layers, running statistics).
        per_layer: Dict, name of a top-level layer -> its parameters, in the model's order. Each weight counts once,
            with the first layer that holds it, and weights of the model itself stand under its own name. Of layers
            with the same name, all but the first have a number: "conv", "conv (2)".
    """

    trainable: int
    fixed: int
    per_layer: dict

    @property
    def total(self):
        """Return trainable and fixed parameters together."""
        return self.trainable + self.fixed

    def rows(self):
        """Return a row per layer that has parameters, and the total."""
        layers = [(name, f"{count:,}") for name, count in self.per_layer.items() if count]
        return [("layer", "parameters"), *layers, ("total", f"{self.total:,}")]

    def plot(self):
        """Draw the parameters of every top-level layer; of many, the largest, and the others as one bar."""
        from dlt.plot import bars  # matplotlib is slow to import, and only figures need it

        return bars(largest(self.per_layer), xlabel="parameters", form="{:,}")


def parameters(model: keras.Layer) -> Parameters:
    """Count the parameters of a built Keras model or layer.

    Args:
        model: A built Keras model or layer.

    Returns:
        A `Parameters`.

    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, name="dense")])
    >>> parameters(model)
    layer  parameters
    dense          36
    total          36
    """

    def count(weights):
        return sum(math.prod(weight.shape) for weight in weights)

    seen, per_layer = set(), {}
    inside = [layer for layer in children(model) if isinstance(layer, keras.Layer)]
    for name, layer in [*named(inside), (model.name, model)]:
        new = [weight for weight in layer.weights if id(weight) not in seen]
        seen.update(map(id, new))
        if new or layer is not model:
            per_layer[name] = per_layer.get(name, 0) + count(new)
    return Parameters(count(model.trainable_weights), count(model.non_trainable_weights), per_layer)
