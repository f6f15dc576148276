"""A layer made of layers, which comes back from its config as it is now, and not as it was made."""

from typing import Any, Self

import keras

from dlt.layers._changes import apply_changes, changes
from dlt.layers._types import Shape


class Composite(keras.layers.Layer):
    """What the layers that are made of layers share: parts that were frozen, quantized or cast stay so in its config.

    A subclass makes and builds its parts in `build_parts`, each with a name of its own. What `changes` finds in them
    is one entry more in the config, and only where there is something to tell; it is done again once there are parts.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self._awaited = {}

    def build_parts(self, input_shape: Any) -> None:
        """Make the layers inside and build them."""
        raise NotImplementedError

    def build(self, input_shape: Shape) -> None:
        self.build_parts(input_shape)
        apply_changes(self, self._awaited)  # also without any: a layer may be frozen before it has parts

    def get_config(self) -> dict:
        found = changes(self) if self.built else dict(self._awaited)
        return super().get_config() | ({"changes": found} if found else {})

    @classmethod
    def from_config(cls, config: dict) -> Self:
        layer = cls(**{name: value for name, value in config.items() if name != "changes"})
        layer._awaited = config.get("changes", {})
        return layer
