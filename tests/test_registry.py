"""After `import dlt`, Keras finds every class of the package that a file names, and imports none before."""

import copy
import importlib
import pickle
import subprocess
import sys

import keras
import numpy as np

import dlt
from dlt._registry import CLASSES, StandIn, register
from dlt.layers import ConvNeXtV2Block
from dlt.metrics import DiceCoefficient
from dlt.models import UNet
from dlt.training import BinaryCrossentropyDice
from tests.helpers import ROOT


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


LOAD = """
import pickle, sys
import keras, numpy as np, dlt
assert not [name for name in sys.modules if name.startswith(("dlt.layers", "dlt.models", "dlt.metrics"))]
with open(sys.argv[1], "rb") as file:
    chain = pickle.load(file)
assert "dlt.models" not in sys.modules, "one class was asked for, and not all"
model = keras.saving.load_model(sys.argv[2])
x = np.ones((1, 8, 8, 1), "float32")
np.savez(sys.argv[3], *(keras.ops.convert_to_numpy(f(x)) for f in (chain, model)))
model.fit(x, x, verbose=0)
print(type(model).__name__, type(model.loss).__name__, sorted(model.evaluate(x, x, return_dict=True, verbose=0)))
"""


def test_a_new_process_loads_a_model_and_unpickles_a_chain_of_layers(tmp_path):
    """What `multiprocessing` with "spawn" does too, where the process that is started imports dlt."""
    model = UNet((8, 8, 1), depth=1, initial_filters=2, final_activation="sigmoid")
    model.compile("adam", BinaryCrossentropyDice(), metrics=[DiceCoefficient()], run_eagerly=True)
    model.save(tmp_path / "model.keras")
    chain = keras.Sequential([keras.Input((8, 8, 1)), ConvNeXtV2Block()])
    (tmp_path / "chain.pkl").write_bytes(pickle.dumps(chain))
    paths = [str(tmp_path / name) for name in ("chain.pkl", "model.keras", "found.npz")]
    done = subprocess.run([sys.executable, "-c", LOAD, *paths], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "UNet BinaryCrossentropyDice ['dice', 'loss']", done.stderr
    x = np.ones((1, 8, 8, 1), "float32")
    for found, expected in zip(np.load(paths[2]).values(), (chain(x), model(x)), strict=True):
        np.testing.assert_allclose(found, keras.ops.convert_to_numpy(expected), rtol=1e-5, atol=1e-6)
