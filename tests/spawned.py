"""What a process runs that `multiprocessing` spawns: of the package, it has imported `dlt` alone."""

import sys

import keras
import numpy as np

import dlt  # noqa: F401  (it tells Keras where its classes are)


def imported():
    return [name for name in ("dlt.layers", "dlt.metrics", "dlt.models") if name in sys.modules]


BEFORE = imported()


def use(chain, path):
    """Use a chain of layers that was pickled on the way here, and a saved model; return what came out."""
    after = imported()
    model = keras.saving.load_model(path)
    x = np.ones((1, 8, 8, 1), "float32")
    answers = [keras.ops.convert_to_numpy(chain(x)), model.predict(x, verbose=0)]
    model.fit(x, x, verbose=0)
    scores = model.evaluate(x, x, return_dict=True, verbose=0)
    return BEFORE, after, [type(model).__name__, type(model.loss).__name__, *sorted(scores)], answers
