"""Train a blind grey denoiser on BSD400, and write its weights and where they come from.

python -m benchmarks.train_denoiser --data DIR_OR_ZIP --sigma 55 --steps 14000 --out first
python -m benchmarks.train_denoiser --data DIR_OR_ZIP --sigma 55 --steps 3000 --patch 160 --batch-size 1 \\
    --start first --out dlt/assets/denoiser_sigma_55

Writes OUT.weights.h5 and OUT.json. Small patches are fast, but in a map of 6 x 6 every 7 x 7 kernel sees the zeros
around it, and the network comes to rely on them: a second stage, on large patches, makes it fit for photographs.
"""

import argparse
import json
import pathlib
import time

import keras
import numpy as np

import dlt
from benchmarks._provenance import provenance

HELD_OUT = 20  # photographs of BSD400 that are only looked at
WARM_UP = 500
EMA = 0.999
VALIDATION = 32  # batches
NOTE = (
    "Trained on 380 of the 400 photographs; `val_psnr` is on patches of the other 20 with noise of the same range. "
    "Bias-free network and biased twin: the same steps on the same patches with the same noise. "
    "BSD68 and Set12 were not used."
)


def psnr(clean, denoised):
    """Return the peak signal-to-noise ratio of a batch of images in [0, 1], in dB."""
    return keras.ops.psnr(clean, denoised, 1.0)


def train(images, sigma, steps, batch_size, patch, seed, use_bias, rate, loss, dtype, network, start=None):
    """Return the trained model and a dict of what there is to know about it."""
    keras.utils.set_random_seed(seed)
    model = dlt.models.create_convunext_denoiser(use_bias=use_bias, dtype=dtype, **network)
    if start:
        model.load_weights(f"{start}.weights.h5")
    per_epoch = min(1000, steps)
    noise = {"sigma": (0, sigma), "size": patch, "batch_size": batch_size}
    data = dlt.data.NoisyPatches(images[HELD_OUT:], steps=per_epoch, seed=seed, workers=1, **noise)
    held_out = dlt.data.NoisyPatches(images[:HELD_OUT], steps=VALIDATION, seed=seed + 1, **noise)
    validation = tuple(np.concatenate(arrays) for arrays in zip(*(held_out[i] for i in range(VALIDATION)), strict=True))
    schedule = keras.optimizers.schedules.CosineDecay(0.0, steps - WARM_UP, warmup_target=rate, warmup_steps=WARM_UP)
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=1e-4, clipnorm=1.0, use_ema=True, ema_momentum=EMA)
    model.compile(optimizer, loss, metrics=[psnr])
    began = time.perf_counter()
    history = model.fit(data, epochs=steps // per_epoch, validation_data=validation, verbose=2).history
    minutes = (time.perf_counter() - began) / 60
    bare = dlt.models.create_convunext_denoiser(use_bias=use_bias, **network)
    bare.set_weights(model.get_weights())  # without the optimizer's memory, which triples the file
    return bare, {
        "network": {"function": "dlt.models.create_convunext_denoiser", "use_bias": use_bias, **network},
        "parameters": dlt.measure.parameters(model).total,
        "mega_macs_per_megapixel": dlt.measure.macs(model, (1024, 1024, 1)).total / 1e6,
        "sigma": [0, sigma],
        "recipe": {
            "loss": loss,
            "optimizer": "AdamW",
            "peak_learning_rate": rate,
            "weight_decay": 1e-4,
            "clipnorm": 1.0,
            "schedule": f"{WARM_UP} steps of warm-up, then a cosine to 0",
            "ema_momentum": EMA,
            "batch_size": batch_size,
            "patch": patch,
            "dtype": dtype,
        },
        "first_stage": json.loads(pathlib.Path(f"{start}.json").read_text(encoding="utf8")) if start else None,
        "steps": int(model.optimizer.iterations),
        "minutes": round(minutes, 1),
        "history": {key: [round(float(value), 5) for value in values] for key, values in history.items()},
    }


def main():
    """Train as the command line says, and write weights and provenance."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder or .zip of bias_free_denoising; without it the archive is downloaded")
    parser.add_argument("--sigma", type=int, default=55, help="largest noise of the training, in grey levels of 255")
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--patch", type=int, default=48, help="side of the patches in pixels")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--use-bias", action="store_true", help="the twin that adds biases")
    parser.add_argument("--rate", type=float, default=3e-3, help="highest learning rate")
    parser.add_argument("--loss", default="mae", help="mae or mse")
    parser.add_argument("--dtype", default="float32", help="float32 or mixed_bfloat16")
    parser.add_argument("--start", help="OUT of a first stage, to go on from there")
    parser.add_argument("--network", type=json.loads, default={}, help="JSON of arguments of ConvUNextModel")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="where to write, without the extension")
    args = parser.parse_args()
    images = dlt.data.bsd(args.data)["train"]
    model, result = train(
        images,
        args.sigma,
        args.steps,
        args.batch_size,
        args.patch,
        args.seed,
        args.use_bias,
        args.rate,
        args.loss,
        args.dtype,
        args.network,
        args.start,
    )
    model.save_weights(f"{args.out}.weights.h5")
    command = (
        f"python -m benchmarks.train_denoiser --data DIR_OR_ZIP --sigma {args.sigma} --steps {args.steps} "
        f"--batch-size {args.batch_size} --patch {args.patch} --rate {args.rate:g} --loss {args.loss} "
        f"--dtype {args.dtype} --seed {args.seed}{' --use-bias' if args.use_bias else ''}"
        f"{' --start first' if args.start else ''} "
        f"--network '{json.dumps(args.network)}' --out {args.out.name}"
    )
    result["provenance"] = provenance(command, args.seed, NOTE)
    pathlib.Path(f"{args.out}.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf8")
    print(f"{args.out}: {result['history']['val_psnr'][-1]:.2f} dB on held-out patches, {result['minutes']} minutes")


if __name__ == "__main__":
    main()
