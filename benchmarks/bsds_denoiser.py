"""Train a blind denoiser on BSDS500, for hours, and write its weights and where they come from.

KERAS_BACKEND=torch nice -n 19 python -m benchmarks.bsds_denoiser FOLDER --data BSDS500_ZIP --steps 40000
KERAS_BACKEND=torch nice -n 19 python -m benchmarks.bsds_denoiser FOLDER --data BSDS500_ZIP --steps 40000 --out OUT

Killed at any moment and called again, it goes on from the last epoch in FOLDER. With --out it trains nothing more, but
writes the averaged weights as they are to OUT.safetensors (float16), and OUT.json beside it.
"""

import argparse
import json
import shlex

import keras
import numpy as np
import safetensors.numpy

import dlt
from benchmarks._channels_last import spare_copies
from benchmarks._long import add_options, settings, train
from benchmarks._provenance import provenance
from benchmarks._schedule import warmed_cosine

NOTE = (
    "Trained on the 400 photographs of BSDS500's `train` and `test`, validated on the 32 of `val` that are not in "
    "BSD68. `val_psnr` is of the averaged weights on the 128 x 128 pixels in the middle of each, with noise of 15, 25 "
    "and 50 grey levels. BSD68 and Set12 were not used. The weights are stored in float16."
)
NETWORKS = {"residual_unet": dlt.models.create_denoiser, "convunext": dlt.models.create_convunext_denoiser}
SIGMAS = (15, 25, 50)


def psnr(clean, denoised):
    """Return the mean over a batch of images in [0, 1] of the peak signal-to-noise ratio, in dB."""
    error = keras.ops.mean(keras.ops.square(keras.ops.cast(clean, "float32") - denoised), axis=(1, 2, 3))
    return -10 * keras.ops.log10(error)


class Middles(keras.utils.PyDataset):
    """The middles of photographs, noisy and clean: a batch per noise level, and the same every time."""

    def __init__(self, images, side=128):
        super().__init__()
        corners = [[(length - side) // 2 for length in image.shape[:2]] for image in images]
        parts = [image[i : i + side, j : j + side] for image, (i, j) in zip(images, corners, strict=True)]
        self.clean = np.stack(parts).astype("float32") / 255

    def __len__(self):
        return len(SIGMAS)

    def __getitem__(self, index):
        noise = np.random.default_rng(SIGMAS[index]).standard_normal(self.clean.shape)
        return self.clean + (SIGMAS[index] / 255 * noise).astype("float32"), self.clean


def begin_with(model, path):
    """Give a denoiser the weights of a trained one, also those of a grey one to a denoiser of colour.

    A kernel that read or wrote the one grey channel reads the mean of red, green and blue, or writes into each.
    """
    trained = safetensors.numpy.load_file(path)
    for weight in model.weights:
        kernel = trained[weight.path].astype("float32")
        copies = weight.shape[2] // kernel.shape[2]
        weight.assign(np.broadcast_to(kernel / copies, weight.shape))


def compiled(options):
    """Return the network of these settings, compiled."""
    keras.utils.set_random_seed(options["seed"])
    create = NETWORKS[options["network"]]
    model = create(options["channels"], use_bias=options["use_bias"], dtype=options["dtype"], **options["arguments"])
    if options["begin_with"]:
        begin_with(model, options["begin_with"])
    schedule = warmed_cosine(options["rate"], options["steps"], options["warm_up"])
    epsilon = options.get("epsilon", 1e-7)
    model.compile(
        keras.optimizers.Adam(schedule, epsilon=epsilon, clipnorm=1.0, use_ema=True, ema_momentum=options["ema"]),
        "mse",
        metrics=[keras.metrics.MeanMetricWrapper(psnr, name="psnr")],
        jit_compile=keras.backend.backend() == "jax",
    )
    return model


def result(model, options, log, command):
    """Return what there is to know about a trained network."""
    epochs = {name: [float(row[name]) for row in log] for name in ("loss", "val_psnr")}
    seconds = {name: sum(float(row[name]) for row in log) for name in ("seconds", "cpu_seconds")}
    pixels = len(log) * options["epoch"] * options["batch_size"] * options["patch"] ** 2
    return {
        "settings": options,
        "parameters": dlt.measure.parameters(model).total,
        "macs_per_pixel": dlt.measure.macs(model, (1024, 1024, options["channels"])).total / 2**20,
        "steps": len(log) * options["epoch"],
        "mega_pixels": pixels / 1e6,
        "minutes": round(seconds["seconds"] / 60, 1),
        "cpu_minutes": round(seconds["cpu_seconds"] / 60, 1),
        "history": epochs,
        "provenance": provenance(command, options["seed"], NOTE),
    }


def words(value):
    """Return a value as it stands on a command line."""
    return shlex.quote(json.dumps(value) if isinstance(value, dict) else str(value))


def arguments():
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser, steps=40_000, batch_size=16, patch=64, rate=1e-3, warm_up=500, ema=0.999)
    parser.add_argument("--network", choices=NETWORKS, default="residual_unet")
    parser.add_argument("--arguments", type=json.loads, default={}, help="JSON of further arguments of the network")
    parser.add_argument("--channels", type=int, default=1, help="1 for grey, 3 for colour")
    parser.add_argument("--use-bias", action="store_true", help="the twin that adds biases")
    parser.add_argument("--begin-with", help="weights of a trained denoiser, .safetensors; None begins at random")
    parser.add_argument("--sigma", type=int, default=55, help="largest noise of the training, in grey levels of 255")
    return vars(parser.parse_args())


def main():
    """Train as the command line says, or write what was trained."""
    spare_copies()
    options = arguments()
    folder, data, out = (options.pop(name) for name in ("folder", "data", "out"))
    settings(folder, options)
    photos = dlt.data.bsd(data, "BSDS500", color=options["channels"] == 3)
    keys = {"size": options["patch"], "batch_size": options["batch_size"], "steps": options["epoch"]}
    patches = dlt.data.NoisyPatches(photos["train"], (0, options["sigma"]), seed=options["seed"], **keys)
    model = compiled(options)
    epochs = 0 if out else options["steps"] // options["epoch"]
    log = train(model, patches, epochs, folder, validation_data=Middles(photos["validation"]))
    if out:
        weights = {weight.path: keras.ops.convert_to_numpy(weight).astype("float16") for weight in model.weights}
        safetensors.numpy.save_file(weights, f"{out}.safetensors")
        given = {name.replace("_", "-"): value for name, value in options.items() if value not in (None, False, {})}
        flags = [f"--{name}" if value is True else f"--{name} {words(value)}" for name, value in given.items()]
        command = " ".join(["python -m benchmarks.bsds_denoiser FOLDER", *flags])
        text = json.dumps(result(model, options, log, command), indent=1)
        out.with_name(f"{out.name}.json").write_text(text + "\n", encoding="utf8")
        print(f"{out}: {log[-1]['val_psnr']} dB on validation photographs after {len(log)} epochs")


if __name__ == "__main__":
    main()
