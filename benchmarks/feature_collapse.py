"""Feature collapse in small masked autoencoders: ConvNeXt V1 blocks, V2 blocks, V2 with GRN on at once, a control.

python -m benchmarks.feature_collapse --steps 600 --seeds 1 2 3 --out dlt/assets/feature_collapse_cpu.json
"""

import argparse
import itertools
import json
import pathlib
import time

import keras
import numpy as np
from keras import layers, ops

from benchmarks._provenance import provenance
from dlt.data import photos
from dlt.layers import ConvNeXtV1Block, ConvNeXtV2Block
from dlt.measure import channel_diversity

PATCH, SIDE, MASKED, DEPTH, DIM, BATCH, RATE = 8, 64, 0.6, 6, 48, 32, 4e-3
MARKS = (0, 10, 25, 50, 100, 200, 400, 800, 1600, 3200)
ARMS = {  # block, its LayerScale, what the gammas of its GRN start as
    "V1": (ConvNeXtV1Block, 1.0, None),
    "V2": (ConvNeXtV2Block, None, 0.0),
    "V2, gamma from 1": (ConvNeXtV2Block, None, 1.0),
    "V1, LayerScale from 2": (ConvNeXtV1Block, 2.0, None),
}
NOTE = (
    "Isotropic masked autoencoder: stem of 8 x 8 patches, 6 blocks of 48 channels (V1 with layer_scale=1, so that it "
    "and V2 start as the same function; with gamma from 1 GRN doubles a branch on average, hence the control that "
    "starts LayerScale at 2), one more block and a dense layer as the decoder; dense, not "
    "sparse, convolutions. `per_block` has, for each mark, [cosine distance, participation ratio, share of dead "
    "channels] of the 192 channels after each block's GELU, on held-out crops without a mask; `test_loss` is on the "
    "same crops, masked. The machine was shared with other work, so its seconds are not a benchmark."
)


def grey_photos():
    """Return the photos as grey arrays, about centred and scaled."""
    return [(photo.mean(-1, dtype="float32") / 255 - 0.45) / 0.25 for photo in photos().values()]


def crops(pictures, count, rng, train):
    """Return square crops in turn from every photo, (count, SIDE, SIDE, 1): the left 3/4 trains, the rest tests."""
    cut = []
    for i in range(count):
        picture = pictures[i % len(pictures)]
        border = 3 * picture.shape[1] // 4
        part = picture[:, :border] if train else picture[:, border:]
        row, column = (rng.integers(side - SIDE + 1) for side in part.shape)
        cut.append(part[row : row + SIDE, column : column + SIDE])
    return np.stack(cut)[..., None]


def task(images, rng):
    """Return masked images, and as target the standardised patches with the mask as one more channel."""
    n = SIDE // PATCH
    hidden = rng.random((len(images), n * n)).argsort(1).argsort(1) < MASKED * n * n
    mask = hidden.reshape(-1, n, n, 1).astype("float32")
    patches = images.reshape(-1, n, PATCH, n, PATCH).swapaxes(2, 3).reshape(-1, n, n, PATCH * PATCH)
    patches = (patches - patches.mean(-1, keepdims=True)) / (patches.std(-1, keepdims=True) + 0.1)
    visible = 1 - mask.repeat(PATCH, axis=1).repeat(PATCH, axis=2)
    return images * visible, np.concatenate([patches, mask], axis=-1)


def masked_loss(target, predicted):
    """Return the mean squared error on the hidden patches."""
    patches, mask = target[..., :-1], target[..., -1:]
    return ops.sum(mask * ops.square(patches - predicted)) / (ops.sum(mask) * PATCH * PATCH)


def autoencoder(block, layer_scale, gamma):
    """Return the model; its blocks are named block_0, block_1, ..., decoder."""
    arguments = {"layer_scale": layer_scale} if layer_scale else {}
    x = images = keras.Input((None, None, 1))
    x = layers.Conv2D(DIM, PATCH, strides=PATCH, name="stem")(x)
    x = layers.LayerNormalization(epsilon=1e-6)(x)
    for name in [*(f"block_{i}" for i in range(DEPTH)), "decoder"]:
        x = block(**arguments, name=name)(x)
    x = layers.LayerNormalization(epsilon=1e-6)(x)
    model = keras.Model(images, layers.Dense(PATCH * PATCH, name="pixels")(x))
    for layer in grn_layers(model):
        layer.gamma.assign(ops.full_like(layer.gamma, gamma))
    return model


def grn_layers(model):
    """Return the GRN layers of a model, in order."""
    branches = (layer.branch for layer in model.layers if hasattr(layer, "branch"))
    return [layer for branch in branches for layer in branch if layer.name == "grn"]


def diversity(model, images):
    """Return, per block of the encoder, the diversity of its channels after the GELU."""
    blocks = [model.get_layer(f"block_{i}") for i in range(DEPTH)]
    inputs = keras.Model(model.input, [block.input for block in blocks]).predict_on_batch(images)
    found = []
    for block, x in zip(blocks, inputs, strict=True):
        for layer in block.branch[:4]:  # depthwise, norm, expand, gelu
            x = layer(x)
        result = channel_diversity(x)
        found.append([round(result.distance, 4), round(result.participation_ratio, 2), round(result.dead, 4)])
    return found


def train(arm, seed, steps):
    """Train one autoencoder and return what was seen on the way, as a dict."""
    keras.utils.set_random_seed(seed)
    rng, pictures = np.random.default_rng(seed), grey_photos()
    images, held_out = crops(pictures, 4096, rng, True), crops(pictures, 140, np.random.default_rng(0), False)
    test = task(held_out, np.random.default_rng(0))
    model = autoencoder(*ARMS[arm])
    schedule = keras.optimizers.schedules.CosineDecay(RATE / 20, steps, warmup_target=RATE, warmup_steps=30)
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=0.05)
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    model.compile(optimizer, loss=masked_loss, jit_compile=False)
    seen = {"step": [], "test_loss": [], "per_block": []}
    for step in range(steps + 1):
        if step in MARKS or step == steps:
            loss = float(masked_loss(test[1], model.predict_on_batch(test[0])))
            seen["step"].append(step)
            seen["test_loss"].append(round(loss, 4))
            seen["per_block"].append(diversity(model, held_out))
        if step < steps:
            model.train_on_batch(*task(images[rng.integers(len(images), size=BATCH)], rng))
    gammas = [np.percentile(ops.convert_to_numpy(layer.gamma), [0, 50, 100]) for layer in grn_layers(model)[:-1]]
    return {**seen, "gamma_min_median_max": [[round(float(g), 3) for g in row] for row in gammas]}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--out", type=pathlib.Path)
    options = parser.parse_args()
    runs = []
    for seed, arm in itertools.product(options.seeds, ARMS):
        start = time.time()
        run = {"arm": arm, "seed": seed, **train(arm, seed, options.steps)}
        runs.append({**run, "seconds": round(time.time() - start)})
        means = [np.mean(marks, axis=0).round(3).tolist() for marks in run["per_block"]]
        print(arm, seed, *zip(run["step"], run["test_loss"], means, strict=True), sep="\n  ", flush=True)
        if options.out:
            write(options, runs)


def write(options, runs):
    seeds = " ".join(map(str, options.seeds))
    command = f"python -m benchmarks.feature_collapse --steps {options.steps} --seeds {seeds} --out {options.out}"
    settings = {"blocks": DEPTH, "channels": DIM, "patch": PATCH, "crop": SIDE, "masked": MASKED, "batch": BATCH}
    settings |= {"learning_rate": RATE, "steps": options.steps}
    result = {"provenance": provenance(command, options.seeds, NOTE), "settings": settings, "runs": runs}
    options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
