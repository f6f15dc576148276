"""How much memory do inference and training take for an image, and how long does a training step take?

`python memory.py` prints, for each of three networks, the bytes that `dlt.measure.activation_memory` counts at
inference and in training, what its process has grown to (KiB) after inference of few and of many images and after a
training step of few and of many, and the milliseconds of CPU that a step takes for an image. For Linux.
"""

import os
import pathlib
import re
import sys
import time

import keras
import numpy as np
from keras import layers

import dlt

SIZES = (4, 12)  # images
CASES = {  # activation, and what is recomputed in the backward pass
    "ReLU": ("relu", None),
    "GELU": ("gelu", None),
    "GELU, recomputed": ("gelu", "list_of_layers"),
}


def network(activation, mode):
    """Return sixteen pointwise layers of 32 channels."""
    names = [f"conv_{i}" for i in range(16)]
    with keras.RematScope(mode, layer_names=names):
        x = images = keras.Input((64, 64, 3))
        for name in names:
            x = layers.Conv2D(32, 1, activation=activation, name=name)(x)
        x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(images, x)
    model.compile("sgd", "mse", jit_compile=False)
    return model


def largest():
    """Return the largest size that this process has had so far, in KiB."""
    status = pathlib.Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s*(\d+)", status)[1])


def measure(activation, mode):
    """Print the row of one network."""
    model = network(activation, mode)
    counted = dlt.measure.activation_memory(model)
    sizes = []
    batches = [(np.ones((n, 64, 64, 3)), np.ones((n, 32))) for n in SIZES]
    for x, _ in batches:
        model.predict_on_batch(x)
        sizes.append(largest())
    for x, y in batches:
        model.train_on_batch(x, y)
        sizes.append(largest())
    times = []
    for _ in range(3):
        start = time.process_time()
        model.train_on_batch(x, y)
        times.append(1e3 * (time.process_time() - start) / len(x))
    print(counted.peak, counted.total, *sizes, min(times), flush=True)


if __name__ == "__main__":
    for case in CASES.values():
        if os.fork():  # a copy of this process, which has not computed yet
            _, failed = os.wait()
            if failed:
                sys.exit(1)
        else:
            measure(*case)
            os._exit(0)
