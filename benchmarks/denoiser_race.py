"""Which small bias-free network learns to denoise fastest on this machine, at an equal number of CPU seconds.

KERAS_BACKEND=tensorflow python -m benchmarks.denoiser_race --data BSDS500_ZIP --cpu-seconds 300
KERAS_BACKEND=torch python -m benchmarks.denoiser_race --data BSDS500_ZIP --cpu-seconds 300

A few steps are timed first, in seconds of this process's CPU, so that other work on the machine does not count; the
cosine then ends when the budget does. Prints PSNR on validation photographs, of the averaged weights.
"""

import argparse
import time

import keras
import numpy as np

import dlt
from dlt.models import create_convunext_denoiser, create_denoiser

PIXELS = 16 * 64 * 64  # per step
SIGMAS = (15, 25, 50)


def convunext(**kwargs):
    """Return a constructor of the package's denoiser with these arguments."""
    return lambda dtype: create_convunext_denoiser(dtype=dtype, **kwargs)


def dense(**kwargs):
    """Return a constructor of the package's denoiser of dense 3x3 convolutions."""
    return lambda dtype: create_denoiser(dtype=dtype, **kwargs)


CASES = {  # name: constructor, dtype policy, side of the patches
    "ConvUNext 16, as shipped": (convunext(), "float32", 64),
    "ConvUNext 32, depth 2": (convunext(initial_filters=32, depth=2), "float32", 64),
    "ConvUNext 32, depth 2, bfloat16": (convunext(initial_filters=32, depth=2), "mixed_bfloat16", 64),
    "dense 32, depth 2": (dense(blocks=(1, 1, 2)), "float32", 64),
    "dense 32, depth 2, bfloat16": (dense(blocks=(1, 1, 2)), "mixed_bfloat16", 64),
    "dense 24, depth 3, bfloat16": (dense(filters=(24, 48, 96, 192), blocks=(1, 1, 1, 2)), "mixed_bfloat16", 64),
    "dense 48, depth 2, bfloat16": (dense(filters=(48, 96, 192), blocks=(1, 1, 2)), "mixed_bfloat16", 64),
    "dense 32, depth 2, bfloat16, patches of 128": (dense(blocks=(1, 1, 2)), "mixed_bfloat16", 128),
}


def noisy_crops(images, sigma, side=128):
    """Return the middles of the photographs, noisy and clean, in [0, 1]."""
    tops = [[(length - side) // 2 for length in image.shape[:2]] for image in images]
    clean = np.stack([image[i : i + side, j : j + side] for image, (i, j) in zip(images, tops, strict=True)]) / 255
    noise = np.random.default_rng(sigma).standard_normal(clean.shape)
    return (clean + sigma / 255 * noise).astype("float32"), clean.astype("float32")


def run(make, dtype, side, images, validation, budget):
    """Return model, steps and wall seconds of a training that takes `budget` seconds of CPU."""
    keras.utils.set_random_seed(0)
    data = dlt.data.NoisyPatches(images, (0, 55), side, PIXELS // side**2, steps=100_000, workers=0)
    model = make(dtype)
    weights = model.get_weights()

    def compiled(steps):
        schedule = keras.optimizers.schedules.CosineDecay(0.0, steps, warmup_target=2e-3, warmup_steps=steps // 20)
        model.set_weights(weights)
        ema = {"use_ema": True, "ema_momentum": 1 - 20 / steps}
        model.compile(keras.optimizers.Adam(schedule, clipnorm=1.0, **ema), "mse", jit_compile=False)

    compiled(100)
    for index in range(3):
        model.train_on_batch(*data[index])
    began = time.process_time()
    for index in range(6):
        model.train_on_batch(*data[index])
    seconds = (time.process_time() - began) / 6
    compiled(int(budget / seconds))
    began = time.perf_counter()
    for index in range(int(budget / seconds)):
        model.train_on_batch(*data[index])
    wall = time.perf_counter() - began
    model.optimizer.finalize_variable_values(model.trainable_variables)
    scores = []
    for noisy, clean in validation:
        estimate = np.concatenate([model.predict_on_batch(noisy[i : i + 8]) for i in range(0, len(noisy), 8)])
        scores.append(float(-10 * np.log10(((estimate - clean) ** 2).mean(axis=(1, 2, 3))).mean()))
    macs = dlt.measure.macs(model, (1024, 1024, 1)).total / 2**20
    return dlt.measure.parameters(model).total, macs, seconds, int(budget / seconds), wall, scores


def main():
    """Race the cases and print a row each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data")
    parser.add_argument("--cpu-seconds", type=float, default=300)
    parser.add_argument("--only", nargs="*", default=CASES, help="names of cases")
    args = parser.parse_args()
    photos = dlt.data.bsd(args.data, "BSDS500")
    validation = [noisy_crops(photos["validation"], sigma) for sigma in SIGMAS]
    for name in args.only:
        keras.backend.clear_session()
        size, macs, seconds, steps, wall, scores = run(*CASES[name], photos["train"], validation, args.cpu_seconds)
        print(
            f"{keras.backend.backend():10s} {name:44s} {size:9,} weights {macs / 1e3:6.1f} kMAC/px "
            f"{seconds:6.2f} CPU s a step {steps:5d} steps {wall:5.0f} s "
            + " ".join(f"{score:6.2f}" for score in scores),
            flush=True,
        )


if __name__ == "__main__":
    main()
