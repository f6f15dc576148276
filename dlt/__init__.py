"""Modern ConvNets in Keras 3, built and measured.

    import dlt
    model = dlt.models.create_convnext_v2("atto", num_classes=10, input_shape=(32, 32, 3))
    dlt.measure.macs(model)

The subpackages (`layers`, `models`, `measure`, `data`, `training`, `metrics`, `predict`, `convert`, `show`, `plot`)
are imported when first used, so `import dlt` costs next to nothing beyond Keras. It is enough for
`keras.saving.load_model` to find every class of the package that a file names.
"""

import importlib
import types

from dlt import _registry

__version__ = "0.1.0"
__all__ = ["convert", "data", "layers", "measure", "metrics", "models", "plot", "predict", "show", "training"]

_registry.register()


def __getattr__(name: str) -> types.ModuleType:
    if name in __all__:
        return importlib.import_module(f"dlt.{name}")
    raise AttributeError(f"module 'dlt' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
