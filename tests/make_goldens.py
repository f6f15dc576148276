"""Write what every backend has to give, `python -m tests.make_goldens`, with TensorFlow.

tests/goldens/contracts.npz has the outputs of all cases, saved.npz those of the models of SAVED, which are stored
beside it as `.keras` files, trained for one step.
"""

import keras
import numpy as np

from dlt.models import ConvNeXtV2, ConvUNextModel
from tests.cases import CASES
from tests.helpers import GOLDENS, randomise
from tests.test_contracts import batch, model_of

SAVED = {
    "convnext_v2": lambda: ConvNeXtV2((1, 1), (4, 8), num_classes=2, input_shape=(16, 16, 3)),
    "convunext": lambda: ConvUNextModel(depth=2, initial_filters=4, blocks_per_level=1),
}


def save_models():
    """Write the files of SAVED, and what they give."""
    images = np.random.default_rng(0).random((2, 16, 16, 3)).astype("float32")
    outputs = {"images": images}
    for name, make in SAVED.items():
        model = randomise(make())
        model.compile(keras.optimizers.Adam(1e-3), "mse")
        model.train_on_batch(images, 0 * model.predict(images, verbose=0))
        model.save(GOLDENS / f"{name}.keras")
        outputs[name] = model.predict(images, verbose=0)
    np.savez_compressed(GOLDENS / "saved.npz", **outputs)


if __name__ == "__main__":
    outputs = {case.name: randomise(model_of(case)).predict(batch(case), verbose=0) for case in CASES}
    np.savez_compressed(GOLDENS / "contracts.npz", **outputs)
    save_models()
