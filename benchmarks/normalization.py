"""A small ConvNeXt-like classifier with batch norm, layer norm or none, trained in batches of 2 and of 64.

python -m benchmarks.normalization --seeds 1 2 3 --out dlt/assets/normalization_cpu.json
python -m benchmarks.normalization --seeds 1 2 3 --raw --arms batch "batch, none after the pool" \\
    --out dlt/assets/normalization_raw_cpu.json
"""

import argparse
import itertools
import json
import pathlib
import shlex
import sys

import keras
import numpy as np
from keras import layers, ops

from benchmarks._provenance import provenance
from dlt.data import textures
from dlt.data.textures import raw_textures

WIDTH, DEPTH, EPOCHS = 16, 4, 6
RATES = {2: (1e-3, 3e-3), 64: (3e-3, 1e-2)}  # batch size -> learning rates tried
NOTE = (
    "Stem of 4 x 4 patches, 4 residual blocks (depthwise 3 x 3, norm, dense 4C, GELU, dense C), average pool, norm, "
    "dense. The arm names the norm at all three places; two arms leave one of them out. "
    "Every run sees the same number of images: 6 epochs of 1,600 textures, Adam, cosine decay; batch norm has "
    "momentum 0.9. `test` is the accuracy in percent on 1,600 test images at inference, `train` that on the training "
    "images; `test_in_training_mode` the accuracy on 384 test images when batch norm keeps using the statistics of "
    "batches as small as those it was trained with."
)

RAW = (
    " The images are the same patches with the brightness and contrast they have in the photographs: standardised all "
    "together, by the mean and deviation of the training images."
)


def batch_norm():
    return layers.BatchNormalization(momentum=0.9)


def layer_norm():
    return layers.LayerNormalization(epsilon=1e-6)


ARMS = {  # norm in the stem, norm in the blocks, norm after the pool
    "layer": (layer_norm, layer_norm, layer_norm),
    "layer, none in the stem": (layers.Identity, layer_norm, layer_norm),
    "batch": (batch_norm, batch_norm, batch_norm),
    "batch, none after the pool": (batch_norm, batch_norm, layers.Identity),
    "none": (layers.Identity, layers.Identity, layers.Identity),
}


def network(stem_norm, norm, last_norm):
    """Return the classifier of 32 x 32 grey patches."""
    x = images = keras.Input((32, 32, 1))
    x = stem_norm()(layers.Conv2D(WIDTH, 4, strides=4)(x))  # (B, 8, 8, WIDTH)
    for _ in range(DEPTH):
        y = norm()(layers.DepthwiseConv2D(3, padding="same")(x))
        y = layers.Dense(4 * WIDTH, activation="gelu")(y)
        x = layers.Add()([x, layers.Dense(WIDTH)(y)])
    x = last_norm()(layers.GlobalAveragePooling2D()(x))  # (B, WIDTH)
    return keras.Model(images, layers.Dense(8)(x))


def photographed_textures():
    """Return the patches that `textures` standardises one by one, standardised all together."""
    (x, y), (x_test, y_test) = raw_textures(32, 200, 200, np.random.default_rng(0))
    mean, deviation = x.mean(), x.std()
    return tuple((((a - mean) / deviation).astype("float32"), b) for a, b in ((x, y), (x_test, y_test)))


def train(arm, batch, rate, seed, raw=False):
    """Train one network and return its accuracies, in percent, as a dict."""
    data = photographed_textures() if raw else textures(train_per_class=200, test_per_class=200, seed=0)
    (x, y), (x_test, y_test) = data
    keras.utils.set_random_seed(seed)
    model = network(*ARMS[arm])
    schedule = keras.optimizers.schedules.CosineDecay(rate, EPOCHS * len(x) // batch)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(schedule), loss, metrics=["accuracy"], jit_compile=False)
    model.fit(x, y, batch_size=batch, epochs=EPOCHS, verbose=0)
    scores = model.predict(x_test, batch_size=400, verbose=0), model.predict(x, batch_size=400, verbose=0)
    test, fitted = (100 * float(np.mean(s.argmax(-1) == labels)) for s, labels in zip(scores, (y_test, y), strict=True))
    guesses = [model(x_test[i : i + batch], training=True) for i in range(0, 384, batch)]
    guesses = np.concatenate([ops.convert_to_numpy(scores).argmax(-1) for scores in guesses])
    same_mode = 100 * float(np.mean(guesses == y_test[: len(guesses)]))
    return {"test": round(test, 2), "train": round(fitted, 2), "test_in_training_mode": round(same_mode, 2)}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--raw", action="store_true", help="do not standardise each image by itself")
    parser.add_argument("--out", type=pathlib.Path)
    options = parser.parse_args()
    command = "python -m benchmarks.normalization " + shlex.join(sys.argv[1:])
    settings = {"width": WIDTH, "depth": DEPTH, "epochs": EPOCHS, "images": 1600, "rates": RATES, "raw": options.raw}
    runs = []
    for seed, batch, arm in itertools.product(options.seeds, RATES, options.arms):
        for rate in RATES[batch]:
            scores = train(arm, batch, rate, seed, options.raw)
            runs.append({"arm": arm, "batch": batch, "rate": rate, "seed": seed, **scores})
            print(runs[-1], flush=True)
    if options.out:
        note = NOTE + RAW if options.raw else NOTE
        result = {"provenance": provenance(command, options.seeds, note), "settings": settings, "runs": runs}
        options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
