import dataclasses
import math

from dlt.measure._table import Table, largest


@dataclasses.dataclass(frozen=True, repr=False)
class Parameters(Table):
    """How many numbers a model holds.

    Attributes:
        trainable: Whole number, those that training changes.
        fixed: Whole number, the others (frozen layers, running statistics).
        per_layer: Dict, name of a top-level layer -> its parameters, in the model's order.
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


def parameters(model):
    """Count the parameters of a built Keras model or layer.

    Args:
        model: A built Keras model or layer.

    Returns:
        A `Parameters`.

    >>> import keras
    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, name="dense")])
    >>> parameters(model)
    layer  parameters
    dense          36
    total          36
    """

    def count(weights):
        return sum(math.prod(weight.shape) for weight in weights)

    return Parameters(
        trainable=count(model.trainable_weights),
        fixed=count(model.non_trainable_weights),
        per_layer={layer.name: count(layer.weights) for layer in getattr(model, "layers", [model])},
    )
