"""What was done to the layers inside is written down, and done again to another network."""

import json

import keras
import numpy as np
import pytest
from keras import ops

from dlt import models
from dlt.layers._changes import apply_changes, changes


def network(**kwargs):
    return models.ConvNeXtV2((1, 1), (4, 8), num_classes=2, input_shape=(8, 8, 3), **kwargs)


def freeze(model):
    """Freeze a block but for one layer of it, and one layer of another block."""
    first, second = (model.get_layer(f"stage_{i}_block_0") for i in range(2))
    first.trainable = False
    first.branch[2].trainable = True
    second.branch[0].trainable = False


def quantize(model, mode="int8"):
    model.quantize(mode, filters=lambda layer: type(layer) is keras.layers.Dense)


def half(model):
    model.get_layer("stage_0_block_0").branch[2].dtype_policy = "mixed_bfloat16"


def lora(model):
    model.get_layer("head").enable_lora(2, lora_alpha=3.0)


CHANGES = {
    "nothing": lambda model: None,
    "frozen": freeze,
    "int8": quantize,
    "int4": lambda model: quantize(model, "int4"),
    "frozen, then int8": lambda model: (freeze(model), quantize(model)),
    "half": half,
    "lora": lora,
    "all": lambda model: setattr(model, "trainable", False),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_was_done_to_one_network_is_done_to_another(name):
    model, other = network(), network()
    CHANGES[name](model)
    found = json.loads(json.dumps(changes(model)))
    assert bool(found) == (name not in ("nothing", "all"))  # a model that is frozen whole says so itself
    other.trainable = model.trainable
    apply_changes(other, found)
    assert changes(other) == found
    for kind in ("trainable_weights", "non_trainable_weights"):
        assert [w.path for w in getattr(other, kind)] == [w.path for w in getattr(model, kind)]
    other.set_weights(model.get_weights())
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 3))
    np.testing.assert_array_equal(ops.convert_to_numpy(other(x)), ops.convert_to_numpy(model(x)))


def test_what_is_frozen_inside_is_told_by_its_path():
    model = network()
    freeze(model)
    assert changes(model) == {
        "stage_0_block_0": {"trainable": False},
        "stage_0_block_0/expand": {"trainable": True},
        "stage_1_block_0/depthwise": {"trainable": False},
    }
