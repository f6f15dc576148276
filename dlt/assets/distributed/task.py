"""What every engine trains: a small network on 96 pictures of textures, from
one start, in one order, 32 images a step.
"""

import functools
import math
import os
import pathlib
import random
import signal
import time

import dlt
import keras
import numpy as np

BATCH = 32  # images in a step, of all workers together
STEPS = int(os.environ.get("STEPS", 6))
RATE = 0.1  # of plain gradient descent, which hides nothing of a gradient
# The end of this process, whatever happens; 0 means that there is none.
signal.alarm(int(os.environ.get("SECONDS", 0)))


@functools.cache
def textures():
    """Return images of shape (96, 32, 32, 1) and their classes."""
    return dlt.data.textures(train_per_class=12, test_per_class=1)[0]


def share(step, rank=0, world=1):
    """Return the images and classes of a step that are one worker's."""
    part = BATCH // world
    first = BATCH * step % 96 + part * rank
    return tuple(array[first : first + part] for array in textures())


class Shares(keras.utils.PyDataset):
    """One worker's part of every step."""

    def __init__(self, rank=0, world=1):
        super().__init__()
        self.who = rank, world

    def __len__(self):
        return STEPS

    def __getitem__(self, step):
        return share(step, *self.who)


def network(case):
    """Return the network "layer_norm", "drop_path" or "batch_norm".

    The first two are a block of ConvNeXt V2, without and with a drop path.
    "synchronized" is that with batch norm, over the images of all devices;
    Keras has it for TensorFlow only. The weights come from NumPy, the same on
    every backend.
    """
    if case in ("batch_norm", "synchronized"):
        together = case == "synchronized"
        parts = [
            keras.layers.Conv2D(16, 3, use_bias=False),
            keras.layers.BatchNormalization(synchronized=together),
            keras.layers.ReLU(),
        ]
    else:
        rate = {"layer_norm": 0.0, "drop_path": 0.5}[case]
        parts = [
            keras.layers.Conv2D(64, 4, strides=4),
            dlt.layers.ConvNeXtV2Block(drop_path_rate=rate),
        ]
    head = [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(8)]
    model = keras.Sequential([keras.Input((32, 32, 1)), *parts, *head])
    rng = np.random.default_rng(0)
    for weight in model.trainable_variables:
        numbers = rng.normal(size=weight.shape)
        if len(weight.shape) > 1:
            weight.assign(numbers / math.sqrt(math.prod(weight.shape[:-1])))
        else:
            weight.assign(weight + 0.1 * numbers)
    return model


def sent():
    """Return how many bytes this machine has sent to itself since its start.

    Linux counts them; elsewhere the answer is nan.
    """
    counters = pathlib.Path("/proc/net/dev")
    lines = counters.read_text().splitlines() if counters.exists() else []
    own = [line for line in lines if line.strip().startswith("lo:")]
    return int(own[0].split()[9]) if own else math.nan


class Diary(keras.callbacks.Callback):
    """Of every step: its loss, and what has been sent until its end."""

    def __init__(self):
        super().__init__()
        self.losses, self.clock, self.wire = [], [], []

    def write(self, loss):
        """Note a step's end: a loss as a number is there when it is done."""
        self.losses.append(float(loss))
        self.clock.append(time.perf_counter())
        self.wire.append(sent())

    def on_train_batch_end(self, batch, logs=None):
        """Take the earlier losses out of Keras's mean of all so far."""
        self.write((batch + 1) * float(logs["loss"]) - sum(self.losses))

    def keep(self, name, model):
        """Write it into a file in the current folder, with the weights."""
        weights = [
            keras.ops.convert_to_numpy(weight).ravel()
            for weight in model.trainable_variables
        ]
        weights = np.concatenate(weights)
        what = {"losses": self.losses, "clock": self.clock, "wire": self.wire}
        np.savez(name, weights=weights, **what)


def fit(case, name, rank=0, world=1):
    """Train with `fit`, under whatever distribution or strategy is set."""
    random.seed(0)  # Keras's `set_random_seed` would import TensorFlow as well
    model, diary = network(case), Diary()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    on_jax = keras.backend.backend() == "jax"
    model.compile(keras.optimizers.SGD(RATE), loss, jit_compile=on_jax)
    data = Shares(rank, world)
    model.fit(data, shuffle=False, verbose=0, callbacks=[diary])
    diary.keep(name, model)
    return model
