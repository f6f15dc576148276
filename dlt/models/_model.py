import functools
import inspect
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any, Self

import keras

from dlt._check import check_keywords, fail
from dlt.convert import mend_onnx
from dlt.layers._changes import apply_changes, changes
from dlt.models._limits import Limits
from dlt.models._watch import Watch

SERIALIZE = {  # what in a constructor's arguments is no plain value, and how Keras writes it down
    "activation": keras.activations.serialize,
    "classifier_activation": keras.activations.serialize,
    "final_activation": keras.activations.serialize,
    "kernel_regularizer": keras.regularizers.serialize,
    "dtype": keras.dtype_policies.serialize,
}
NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def entry(name: str) -> Callable:
    """Return the method of `keras.Model` of this name that checks the images first, or batch by batch as they come."""
    plain = getattr(keras.Model, name)

    @functools.wraps(plain)
    def checked(self, x=None, *args, **kwargs):
        watch = Watch(self._limits.check)
        self._limits.check(x)
        if (unseen := kwargs.get("validation_data")) is not None:
            self._limits.check(unseen[0] if isinstance(unseen, (tuple, list)) else unseen)
            kwargs["validation_data"] = watch.over(unseen)
        try:
            return plain(self, watch.over(x), *args, **kwargs)
        except Exception as error:
            if (refusal := watch.refusal(error)) is None:
                raise
            raise refusal from error

    return checked


@keras.saving.register_keras_serializable(package="dlt")
class Model(keras.Model):
    """A functional Keras model with what the models of this package have in common.

    - An unknown keyword raises; Keras's functional models swallow it.
    - Every way in checks the images alike, before anything is traced or changed. A graph that has seen several sizes
      knows none of them any more, and would fail with the words of whatever operation comes across them first, or give
      a wrong answer. So the batches of a `PyDataset`, a generator or a `tf.data.Dataset` that leaves its sides open are
      checked as they come.
    - A file of ONNX that it is exported to has the axes that its outputs have, see `dlt.convert.mend_onnx`.
    - Its configuration also says what was done to its layers since it was built: frozen, quantized, cast.
    - Its optimizer has its variables when training begins. JAX and PyTorch do so anyway; TensorFlow makes them while
      it traces the first step into a graph, and then has to trace that a second time: training any of these networks
      would begin about twice as late. The same happens with metrics that are named by a string, "accuracy", and not
      with those that are given as objects.
    """

    _config: dict | None = None  # the constructor's arguments, of a class that has its own
    _min_side = 1  # of images
    _multiple = 1  # of which their sides are

    def __new__(cls, *args, **kwargs):
        """Raise before anything is built if a keyword is none that the class or one it derives from takes."""
        own = arguments(cls) if cls is not Model else ["inputs", "outputs"]
        check_keywords(cls.__name__, kwargs, [*own, "name", "trainable"])
        return super().__new__(cls, *args, **kwargs)

    fit = entry("fit")
    evaluate = entry("evaluate")
    predict = entry("predict")
    train_on_batch = entry("train_on_batch")
    test_on_batch = entry("test_on_batch")
    predict_on_batch = entry("predict_on_batch")

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Run the network after checking the images."""
        self._limits.check(inputs)
        return super().__call__(inputs, *args, **kwargs)

    def make_train_function(self, force: bool = False) -> Any:
        """Compile the training step, as `keras.Model` does, with an optimizer that has its variables."""
        optimizer = getattr(self, "optimizer", None)
        if optimizer is not None and not optimizer.built and self.trainable_variables:
            optimizer.build(self.trainable_variables)
        return super().make_train_function(force)

    def export(self, filepath: str | os.PathLike, format: str = "tf_saved_model", *args: Any, **kwargs: Any) -> None:
        """Export the network, as `keras.Model` does; a file of ONNX, with the axes that its outputs have."""
        super().export(filepath, format, *args, **kwargs)
        if format == "onnx" and keras.backend.backend() == "tensorflow":  # see there for what its converter does
            mend_onnx(filepath, self)

    def get_config(self) -> dict:
        """Return the constructor's arguments, and as "changes" what was done to the layers since."""
        if self._config is None:
            return super().get_config()
        config = {key: SERIALIZE.get(key, lambda value: value)(value) for key, value in self._config.items()}
        config |= {"name": self.name, "trainable": self.trainable}
        done = changes(self, self._config["dtype"])
        return config | ({"changes": done} if done else {})

    @classmethod
    def from_config(cls, config: dict, custom_objects: dict | None = None) -> Self:
        """Return a network of this configuration, its layers as frozen and quantized as they were."""
        config = dict(config)
        done = config.pop("changes", {})
        model = super().from_config(config, custom_objects)
        if model._config is not None:  # otherwise each layer has told of itself
            apply_changes(model, done)
        return model

    @property
    def _limits(self):
        """Return what images the network takes."""
        owner = self.name if self._config is None else type(self).__name__
        return Limits(owner, [x.shape[-1] for x in self.inputs], self._min_side, self._multiple)


def arguments(*makers: Callable) -> list[str]:
    """Return the names of the arguments of functions and of classes of models, those that are passed on included."""
    names = []
    for maker in makers:
        classes = maker.__mro__[: maker.__mro__.index(Model)] if isinstance(maker, type) else ()
        for function in [vars(cls)["__init__"] for cls in classes if "__init__" in vars(cls)] or [maker]:
            names += [
                name for name, parameter in inspect.signature(function).parameters.items() if parameter.kind in NAMED
            ]
    return [name for name in dict.fromkeys(names) if name != "self"]


def check_pretrained(pretrained: Any, names: Sequence[Any]) -> None:
    """Raise unless `pretrained` is nothing, one of the names, or may be the path of a file."""
    word = isinstance(pretrained, str) and not pathlib.PurePath(pretrained).suffix
    if pretrained and pretrained not in names and (word or pretrained is True):
        offered = ", ".join(repr(name) for name in names)
        fail(
            "There are no such weights.",
            f"None, {offered}, or the path of a .keras, .weights.h5 or .safetensors file",
            f"pretrained={pretrained!r}",
            "Check the spelling, or leave it out for random weights.",
        )


def check_arguments(factory: Callable, keywords: dict, cls: type[Model]) -> None:
    """Raise if a function that makes a model was given a keyword that neither it nor the model's class takes."""
    check_keywords(factory.__name__, keywords, [*arguments(factory, cls), "name", "trainable"])
