"""The classes that a saved model may name, so that Keras finds each of them once it is needed, and imports none before.

A `.keras` file names its classes, "dlt>UNet", and Keras looks the name up among its custom objects: a class is one as
soon as its module has been imported. `import dlt` imports no module of its own; it puts a stand-in there for each
class, and the class takes the place of its stand-in when its module is imported.
"""

import importlib
from typing import Any

import keras

CLASSES = {  # where they are imported from, and their names
    "dlt.layers": (
        "BiasFreeBatchNormalization",
        "ConvNeXtV1Block",
        "ConvNeXtV2Block",
        "ConvUNextStem",
        "Dropout",
        "GlobalResponseNormalization",
        "HANCBlock",
        "HANCLayer",
        "LayerScale",
        "MLFCLayer",
        "ResPath",
        "SqueezeExcitation",
        "StochasticDepth",
        "UpsampleLike",
    ),
    "dlt.models": (
        "AccUNet",
        "ConvNeXtV1",
        "ConvNeXtV2",
        "ConvUNextModel",
        "MaskToken",
        "MaskedAutoencoder",
        "Model",
        "RandomMask",
        "ResidualUNet",
        "UNet",
    ),
    "dlt.metrics": ("DiceCoefficient",),
    "dlt.training": ("BinaryCrossentropyDice",),
}


class StandIn:
    """What Keras finds in place of a class that has not been imported; it imports the class when it is asked for it.

    Args:
        module: String, the module that registers the class.
        name: String, the name that it is registered under.
    """

    def __init__(self, module: str, name: str) -> None:
        self._module, self._name = module, name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the class or function itself returns."""
        return self._own()(*args, **kwargs)

    def __getattr__(self, attribute: str) -> Any:
        """Return an attribute of the class: `from_config` above all."""
        if attribute.startswith("__"):  # what copy and pickle ask of an object that is not complete yet
            raise AttributeError(attribute)
        return getattr(self._own(), attribute)

    def __repr__(self) -> str:
        return f"<{self._name} of {self._module}, imported when it is needed>"

    def _own(self):
        importlib.import_module(self._module)
        return keras.saving.get_custom_objects()[self._name]


def register() -> None:
    """Let Keras know the names of the classes; those that have been imported stay as they are."""
    known = keras.saving.get_custom_objects()
    for module, names in CLASSES.items():
        for name in names:
            known.setdefault(f"dlt>{name}", StandIn(module, f"dlt>{name}"))
