"""What a bias costs and saves: small denoisers with and without, alike in everything else, several seeds.

KERAS_BACKEND=torch nice -n 19 python -m benchmarks.denoiser_pairs --data BSDS500_ZIP --out OUT.json

Trains on the mean squared error. Runs that the file already holds are not repeated; all of seed 0 come first. Several
processes may add to one file: see --seeds.
"""

import argparse
import itertools
import pathlib
import time

import keras
import numpy as np

import dlt
from benchmarks._channels_last import spare_copies
from benchmarks._precision import policy
from benchmarks._provenance import provenance
from benchmarks._runs import add_run, runs_in
from benchmarks.bsds_denoiser import NETWORKS, compiled
from benchmarks.denoise import noisy, psnr

RANGES, BIASES, SEEDS = (10, 55), (False, True), (0, 1, 2, 3)
SIGMAS = (10, 15, 25, 30, 50, 70, 100)  # those of the two tables that chapter 16 compares with
SETTINGS = {
    # dense convolutions: in three minutes they learn more than the ConvUNext of chapter 16 in ten
    "network": "residual_unet",
    "channels": 1,
    "arguments": {"filters": [16, 32, 64]},
    "begin_with": None,
    "steps": 4000,
    "warm_up": 200,
    "batch_size": 8,
    "patch": 64,
    "rate": 1e-3,
    # Gradients of the squared error of faint noise are as small as Adam's default of 1e-7, which then brakes: with the
    # loss times 1e5, which is like a smaller epsilon, a ConvUNext reached 0.7 dB more in its first 1,000 steps.
    "epsilon": 1e-12,
    "ema": 0.999,
}
NOTE = (
    "{done} of {planned} runs of {parameters:,} weights without biases. Trained on the 400 photographs of BSDS500's "
    "`train` and `test`. All runs of a seed see the same patches in the same order, and those of a range the same "
    "noise. `psnr`: of each of the 68 photographs of BSD68 in dB, noise not clipped and the same for every network; "
    "averaged weights. One core of a shared machine: seconds are no benchmark."
)


def scores(model, photos):
    """Return the PSNR of each photograph at each noise level: sigma -> list."""
    found = {}
    for sigma in SIGMAS:
        pairs = [((photo / 255).astype("float32"), noisy(photo, sigma, (0, i))) for i, photo in enumerate(photos)]
        answers = (model.predict_on_batch(given[None])[0] for _, given in pairs)
        found[str(sigma)] = [
            round(psnr(clean, np.asarray(one)), 3) for (clean, _), one in zip(pairs, answers, strict=True)
        ]
    return found


def run(sigma, use_bias, seed, photos):
    """Train one denoiser and return what came out, as a dict that JSON can hold."""
    began = time.perf_counter()
    keras.backend.clear_session()
    model = compiled(SETTINGS | {"dtype": policy(), "use_bias": use_bias, "seed": seed})
    keys = {"size": SETTINGS["patch"], "batch_size": SETTINGS["batch_size"], "steps": SETTINGS["steps"]}
    patches = dlt.data.NoisyPatches(photos["train"], (0, sigma), seed=seed, **keys)
    model.fit(patches, epochs=1, verbose=0, shuffle=False)
    model.optimizer.finalize_variable_values(model.trainable_variables)
    precise = NETWORKS[SETTINGS["network"]](use_bias=use_bias, **SETTINGS["arguments"])
    precise.set_weights(model.get_weights())
    return {
        "sigma": sigma,
        "use_bias": use_bias,
        "seed": seed,
        "dtype": policy(),
        "psnr": scores(precise, photos["bsd68"]),
        "seconds": round(time.perf_counter() - began),
    }


def described(out, runs):
    """Return everything known so far."""
    planned = len(SEEDS) * len(RANGES) * len(BIASES)
    command = f"python -m benchmarks.denoiser_pairs --data BSDS500_ZIP --out {out.name}"
    seeds = sorted({one["seed"] for one in runs})
    parameters = dlt.measure.parameters(NETWORKS[SETTINGS["network"]](**SETTINGS["arguments"])).total
    return {
        "settings": SETTINGS,
        "runs": sorted(runs, key=lambda one: (one["sigma"], one["use_bias"], one["seed"])),
        "provenance": provenance(command, seeds, NOTE.format(done=len(runs), planned=planned, parameters=parameters)),
    }


def main():
    """Run what the file does not hold yet, and write it after each run."""
    spare_copies()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder or .zip of BSDS500; without it the archive is downloaded")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--out", type=pathlib.Path, required=True, help="JSON file to write")
    args = parser.parse_args()
    photos = dlt.data.bsd(args.data, "BSDS500")
    for seed, sigma, use_bias in itertools.product(args.seeds, RANGES, BIASES):
        if (seed, sigma, use_bias) not in {(one["seed"], one["sigma"], one["use_bias"]) for one in runs_in(args.out)}:
            result = run(sigma, use_bias, seed, photos)
            add_run(args.out, result, lambda runs: described(args.out, runs))
            means = {level: round(float(np.mean(values)), 2) for level, values in result["psnr"].items()}
            print(seed, sigma, use_bias, means, f"{result['seconds']} s", flush=True)


if __name__ == "__main__":
    main()
