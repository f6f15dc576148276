"""The examples of ConvUNext's reference run in their order: only their import lines are changed.

Many continue the one before, so all share one namespace. In it is what a reader is asked to have: data, and a saved
model. An ellipsis stands for the reader's own arguments. The examples are about the interface, so the networks are
small here and train one epoch; that the sizes are right is tested elsewhere.
"""

import os
import re

import keras
import numpy as np
import pytest

from dlt.models import ConvUNextModel, create_convunext_variant, create_inference_model_from_training_model
from tests.references.test_examples import examples

CODE = examples("convunext.md")
IMPORT = re.compile(r"^from \S*convunext\.model import", flags=re.MULTILINE)
SIGNATURE = "def create_convunext_variant("  # not an example: it has no body
pytestmark = [
    pytest.mark.skipif(not CODE, reason="needs the reference documents, which are not part of the project"),
    pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the examples import TensorFlow"),
]


def reader_has(tmp_path):
    """Return the names that the examples use without defining them."""
    import tensorflow as tf

    images = np.random.default_rng(0).random((2, 256, 256, 3)).astype("float32")
    masks = np.round(images[..., :1])
    dataset = tf.data.Dataset.from_tensor_slices((images, masks)).batch(1)

    class Listing:
        """A data set whose `map` takes functions that return lists of targets: tf.data would stack them."""

        def __iter__(self):
            return iter(dataset)

        def map(self, function):
            return dataset.map(lambda x, y: tuple(tuple(z) if isinstance(z, list) else z for z in function(x, y)))

    pyramids = dataset.map(lambda x, y: (x, tuple(tf.image.resize(y, (256 // 2**i,) * 2) for i in range(4))))
    create_convunext_variant("tiny").save(tmp_path / "my_model.keras")
    return {
        "keras": keras,
        "np": np,
        "tf": tf,
        "train_dataset": Listing(),
        "val_dataset": Listing(),
        "train_data": pyramids,
        "epochs": 1,
        "os": os,
        "create_convunext_variant": create_convunext_variant,
        "create_inference_model_from_training_model": create_inference_model_from_training_model,
    }


def runnable(code):
    """Return an example with its import line changed and its ellipses filled with nothing."""
    return IMPORT.sub("from dlt.models import", code).replace(", ...)", ")")


def test_all_examples_are_found():
    assert len(CODE) == 29
    assert sum(code.startswith(SIGNATURE) for code in CODE) == 1


@pytest.mark.filterwarnings("ignore::UserWarning")  # the examples are not ours to change
def test_examples(tmp_path, monkeypatch):
    narrow = {
        name: {**size, "initial_filters": 4, "blocks_per_level": 1}
        for name, size in ConvUNextModel.MODEL_VARIANTS.items()
    }
    fit = keras.Model.fit
    monkeypatch.setattr(ConvUNextModel, "MODEL_VARIANTS", narrow)
    monkeypatch.setattr(keras.Model, "fit", lambda self, *args, **kwargs: fit(self, *args, **{**kwargs, "epochs": 1}))
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")  # one example sets it, and it has to be set back
    monkeypatch.chdir(tmp_path)
    names = reader_has(tmp_path)
    for number, code in enumerate(CODE):
        if code.startswith(SIGNATURE):
            continue
        exec(compile(runnable(code), f"example {number}", "exec"), names)
        keras.config.set_dtype_policy("float32")
    assert names["deploy_model"]("production_model.keras", np.zeros((2, 256, 256, 3), "float32"))
    assert {path.name for path in tmp_path.iterdir()} >= {"model.keras", "model_tf.keras", "production_model.keras"}
