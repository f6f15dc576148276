"""After `import dlt`, Keras finds every class of the package that a file names, and imports none before."""

import concurrent.futures
import copy
import importlib
import multiprocessing
import pickle

import keras
import numpy as np

import dlt
from dlt._registry import CLASSES, StandIn, register
from dlt.layers import ConvNeXtV2Block
from dlt.metrics import DiceCoefficient
from dlt.models import UNet
from dlt.training import BinaryCrossentropyDice
from tests import spawned


def test_every_registered_class_has_a_stand_in_that_gives_it():
    for name in dlt.__all__:
        importlib.import_module(f"dlt.{name}")
    registered = {key: cls for key, cls in keras.saving.get_custom_objects().items() if key.startswith("dlt>")}
    assert set(registered) == {f"dlt>{name}" for names in CLASSES.values() for name in names}
    for module, names in CLASSES.items():
        for name in names:
            cls, stand_in = registered[f"dlt>{name}"], StandIn(module, f"dlt>{name}")
            assert isinstance(cls, type)
            assert cls.__module__.startswith(module)
            assert stand_in.from_config == cls.from_config


def test_a_class_that_is_there_stays():
    before = dict(keras.saving.get_custom_objects())
    register()
    assert keras.saving.get_custom_objects() == before


def test_a_stand_in_makes_what_the_class_makes_and_can_be_copied():
    stand_in = StandIn("dlt.layers", "dlt>LayerScale")
    assert isinstance(stand_in(0.5), dlt.layers.LayerScale)
    assert pickle.loads(pickle.dumps(copy.deepcopy(stand_in))).from_config == dlt.layers.LayerScale.from_config
    assert repr(stand_in) == "<dlt>LayerScale of dlt.layers, imported when it is needed>"


def test_a_spawned_process_loads_a_model_and_unpickles_a_chain_of_layers(tmp_path):
    """It imports nothing of the package but `dlt`, and then what it needs."""
    model = UNet((8, 8, 1), depth=1, initial_filters=2, final_activation="sigmoid")
    model.compile("adam", BinaryCrossentropyDice(), metrics=[DiceCoefficient()], run_eagerly=True)
    model.save(tmp_path / "model.keras")
    chain = keras.Sequential([keras.Input((8, 8, 1)), ConvNeXtV2Block()])
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        before, after, names, answers = pool.submit(spawned.use, chain, tmp_path / "model.keras").result()
    assert before == []
    assert after == ["dlt.layers"]  # one class was asked for, and not all
    assert names == ["UNet", "BinaryCrossentropyDice", "dice", "loss"]
    x = np.ones((1, 8, 8, 1), "float32")
    for found, expected in zip(answers, (chain(x), model(x)), strict=True):
        np.testing.assert_allclose(found, keras.ops.convert_to_numpy(expected), rtol=1e-5, atol=1e-6)
