"""How much memory do inference and training take for an image, and how long does a training step take?

`python memory.py` prints, for each of three networks, the bytes that `dlt.measure.activation_memory` counts at
inference and in training, what a process has grown to (KiB) after inference of few and of many images, another one
after a training step of few and of many, and the milliseconds of CPU that a step takes for an image. For Linux.
"""

import os

# Side by side, operations keep more alive at once, and another amount in every run.
os.environ |= {"TF_NUM_INTEROP_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1"}

import functools
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


def start(measure, *case):
    """Start a function for a case in a copy of this process, which has not computed yet; return what to wait for."""
    ours, theirs = os.pipe()
    if child := os.fork():
        os.close(theirs)
        return child, ours
    with os.fdopen(theirs, "w") as pipe:
        print(*measure(*case), file=pipe)
    os._exit(0)


def numbers(child, ours):
    """Return what a copy has found, when it has ended."""
    with os.fdopen(ours) as pipe:
        said = pipe.read()
    if os.waitpid(child, 0)[1]:
        sys.exit(1)
    return [float(number) for number in said.split()]


def grown(step):
    """Return the size of this process after a step with few images, and with many."""
    sizes = []
    for count in SIZES:
        for _ in range(2):
            step(np.ones((count, 64, 64, 3)), np.ones((count, 32)))
        sizes.append(largest())
    return sizes


def inference(activation, mode):
    """Return what is counted, and what is measured without a backward pass."""
    model = network(activation, mode)
    counted = dlt.measure.activation_memory(model)
    return counted.peak, counted.total, *grown(lambda x, _: model.predict_on_batch(x))


def training(activation, mode):
    """Return what is measured with one."""
    return grown(network(activation, mode).train_on_batch)


def durations():
    """Return for each case the milliseconds of CPU that a step takes for an image, measured in turn."""
    many = SIZES[-1]
    x, y = np.ones((many, 64, 64, 3)), np.ones((many, 32))
    models = {name: network(*case) for name, case in CASES.items()}
    steps = {name: functools.partial(model.train_on_batch, x, y) for name, model in models.items()}
    times = dlt.measure.alternate(steps, 5, warmup=1, clock=time.process_time)
    return [1e3 * min(times[name].seconds) / many for name in CASES]  # the least: others may have been in the way


if __name__ == "__main__":
    milliseconds = numbers(*start(durations))
    for case, ms in zip(CASES.values(), milliseconds, strict=True):
        pair = start(inference, *case), start(training, *case)
        print(*numbers(*pair[0]), *numbers(*pair[1]), ms, flush=True)
