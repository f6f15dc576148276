"""Layers survive what Keras does with them in networks that other people build, in whatever state they are."""

import copy
import pickle

import keras
import numpy as np
import pytest
from keras import ops, tree

from dlt import layers
from tests.cases import CASES
from tests.helpers import as_model, randomise, several

LAYERS = [case for case in CASES if issubclass(case.cls, keras.layers.Layer) and not issubclass(case.cls, keras.Model)]
each_layer = pytest.mark.parametrize("case", LAYERS, ids=lambda case: case.name)


def network(case, **kwargs):
    """Return a network of plain Keras with one of our layers inside and a new head."""
    made = case.make(**kwargs)
    model = made if isinstance(made, keras.Model) else as_model(made, case.shape)
    head = keras.layers.Dense(3, name="new_head")
    return randomise(keras.Model(model.inputs, head(model.output)))


def ours(model, case):
    """Return the layer inside."""
    return next(layer for layer in model._flatten_layers() if type(layer) is case.cls)


def freeze(model, case):
    """Freeze one layer inside, or the whole layer if nothing is inside."""
    layer = ours(model, case)
    inside = [part for part in layer._flatten_layers(include_self=False) if part.trainable_weights]
    (inside[len(inside) // 2] if inside else layer).trainable = False


def quantize(model, case):
    model.quantize("int8", filters=lambda layer: type(layer) is keras.layers.Dense)


def cast(model, case):
    """Change the policy of one layer inside, or of the whole layer if nothing is inside."""
    layer = ours(model, case)
    inside = list(layer._flatten_layers(include_self=False, recursive=False))
    (inside[0] if inside else layer).dtype_policy = "mixed_bfloat16"


STATES = {  # name: (arguments of the constructor, what is done to the network then)
    "policy object": ({"dtype": keras.DTypePolicy("mixed_bfloat16")}, lambda model, case: None),
    "frozen part": ({}, freeze),
    "quantized": ({}, quantize),
    "cast part": ({}, cast),
}


def through_file(model, path):
    model.save(path / "model.keras")
    return keras.saving.load_model(path / "model.keras")


def inside_another(model, path):
    """Return the network out of a file of another network that contains it."""
    inputs = tree.map_structure(lambda x: keras.Input(x.shape[1:]), model.inputs)
    outer = keras.Model(inputs, keras.layers.Dense(2, name="outer_head")(model(inputs)), name="outer")
    return through_file(outer, path).get_layer(model.name)


def cloned(model, path):
    again = keras.models.clone_model(model)
    again.set_weights(model.get_weights())
    return again


ROUTES = {
    "clone_model": cloned,
    "pickle": lambda model, path: pickle.loads(pickle.dumps(model)),
    "deepcopy": lambda model, path: copy.deepcopy(model),
    "file": through_file,
    "file of a network around it": inside_another,
}


def state(model):
    """Return of each layer its policy and whether it is frozen, and which weights train."""
    inside = [layer for layer in model._flatten_layers(False) if not isinstance(layer, keras.layers.InputLayer)]
    policies = [(layer.name, layer.trainable, layer.dtype_policy.name) for layer in inside]
    return policies, [(weight.name, tuple(weight.shape), weight.trainable) for weight in model.weights]


@each_layer
@pytest.mark.parametrize("name", STATES)
def test_a_network_with_our_layer_comes_back_as_it_is(case, name, tmp_path):
    arguments, change = STATES[name]
    model = network(case, **arguments)
    before = state(model)
    change(model, case)
    assert (state(model) == before) == (name == "policy object")
    x = [np.random.default_rng(1).normal(size=shape) for shape in several(case.shape)]
    expected = [ops.convert_to_numpy(y) for y in tree.flatten(model(x))]
    for route, go in ROUTES.items():
        again = go(model, tmp_path)
        assert state(again) == state(model), route
        for new, old in zip(tree.flatten(again(x)), expected, strict=True):
            np.testing.assert_array_equal(ops.convert_to_numpy(new), old, route)


def test_blocks_answer_to_the_name_that_leaves_x_small():
    assert layers.ConvNextV1Block is layers.ConvNeXtV1Block
    assert layers.ConvNextV2Block is layers.ConvNeXtV2Block


def test_a_layer_frozen_before_it_is_built_is_frozen_inside():
    block = layers.ConvNeXtV1Block(trainable=False)
    model = keras.Model(images := keras.Input((8, 8, 4)), keras.layers.Dense(2)(block(images)))
    assert [weight.path for weight in model.trainable_weights] == [w.path for w in model.layers[-1].weights]


def test_a_config_tells_of_the_parts_before_there_are_any():
    block = layers.ConvNeXtV1Block()
    block.build((None, 8, 8, 4))
    assert "changes" not in block.get_config()
    block.branch[0].trainable = False
    again = layers.ConvNeXtV1Block.from_config(block.get_config())
    assert again.get_config() == block.get_config()
