"""Modern ConvNets in Keras 3, built and measured.

    import dlt
    model = dlt.models.create_convnext_v2("atto", num_classes=10, input_shape=(32, 32, 3))
    dlt.measure.macs(model)

The subpackages (`layers`, `models`, `measure`, `data`, `training`, `metrics`, `predict`, `convert`, `plot`) are
imported when first used, so `import dlt` costs next to nothing beyond Keras.
"""

import importlib

__version__ = "0.1.0"
__all__ = ["convert", "data", "layers", "measure", "metrics", "models", "plot", "predict", "training"]


def __getattr__(name):
    if name in __all__:
        return importlib.import_module(f"dlt.{name}")
    raise AttributeError(f"module 'dlt' has no attribute {name!r}")


def __dir__():
    return [*globals(), *__all__]
