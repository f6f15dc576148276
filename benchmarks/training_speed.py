"""What trains a small denoiser fastest on this machine: backend, kind of convolution, patch size, XLA, bfloat16.

KERAS_BACKEND=tensorflow python -m benchmarks.training_speed
KERAS_BACKEND=torch python -m benchmarks.training_speed

Prints milliseconds per training step: the median of some steps on 65,536 pixels, after two to warm up.
"""

import argparse
import statistics
import time

import keras
import numpy as np
from keras import layers

import dlt

PIXELS = 16 * 64 * 64


def convunext(dtype="float32", **kwargs):
    """Return the package's denoiser."""
    return dlt.models.create_convunext_denoiser(dtype=dtype, **kwargs)


def dense_stack(dtype="float32", depth=14, width=48):
    """Return a chain of dense 3x3 convolutions with about as many weights as the small ConvUNext."""
    x = images = keras.Input((None, None, 1))
    for _ in range(depth):
        x = layers.Conv2D(width, 3, padding="same", use_bias=False, activation="relu", dtype=dtype)(x)
    return keras.Model(images, layers.Conv2D(1, 3, padding="same", use_bias=False, dtype=dtype)(x))


CASES = {  # name: network, side of a patch, jit_compile
    "ConvUNext, 16 filters": (convunext, 64, False),
    "the same, patches of 32": (convunext, 32, False),
    "the same, patches of 128": (convunext, 128, False),
    "the same, bfloat16": (lambda: convunext("mixed_bfloat16"), 64, False),
    "the same, XLA": (convunext, 64, True),
    "ConvUNext, LayerNorm and GELU": (
        lambda: convunext(scale_equivariant=False, normalization="layer", activation="gelu"),
        64,
        False,
    ),
    "ConvUNext, GRN": (lambda: convunext(convnext_version="v2"), 64, False),
    "ConvUNext, 32 filters": (lambda: convunext(initial_filters=32), 64, False),
    "14 dense 3x3 of 48 channels": (dense_stack, 64, False),
    "the same, bfloat16 ": (lambda: dense_stack("mixed_bfloat16"), 64, False),
}


def step_seconds(model, side, jit_compile, steps):
    """Return the median seconds of a training step."""
    rng = np.random.default_rng(0)
    x = rng.random((PIXELS // side**2, side, side, 1)).astype("float32")
    model.compile("adam", "mse", jit_compile=jit_compile)
    seconds = []
    for _ in range(steps + 2):
        start = time.perf_counter()
        float(model.train_on_batch(x, x))  # a number on the host: the step is over
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[2:])


def main():
    """Time every case and print a row each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--only", nargs="*", default=CASES, help="names of cases")
    args = parser.parse_args()
    dlt.training.start()
    compiles_anyway = keras.backend.backend() == "jax"
    for name in args.only:
        make, side, jit_compile = CASES[name]
        if jit_compile and keras.backend.backend() == "torch":
            continue
        keras.backend.clear_session()
        model = make()
        seconds = step_seconds(model, side, jit_compile or compiles_anyway, args.steps)
        print(f"{name:32s} {dlt.measure.parameters(model).total:9,} parameters {1e3 * seconds:8.0f} ms", flush=True)


if __name__ == "__main__":
    main()
