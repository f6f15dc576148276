"""ConvNeXtV1 tiny against keras.applications ConvNeXtTiny, in turn, in one run: `python -m benchmarks.convnext`."""

import argparse

import keras
import numpy as np

from dlt.measure import alternate
from dlt.models import create_convnext_v1
from dlt.training import start


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    start()
    nets = {
        "keras.applications": keras.applications.ConvNeXtTiny(
            weights=None, include_preprocessing=False, classifier_activation=None
        ),
        "dlt": create_convnext_v1("tiny"),
    }
    rng = np.random.default_rng(0)
    x = rng.normal(size=(options.batch, 224, 224, 3)).astype("float32")
    y = rng.integers(0, 1000, options.batch)
    for net in nets.values():
        net.compile("adamw", keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False)
    report("inference", {name: lambda net=net: net.predict_on_batch(x) for name, net in nets.items()}, options)
    report("train step", {name: lambda net=net: net.train_on_batch(x, y) for name, net in nets.items()}, options)


def report(what, runs, options):
    times = alternate(runs, repeats=options.repeats, warmup=2)
    for name, time in times.items():
        per_image = time.median / options.batch * 1e3
        print(f"{what:10}  {name:18}  {per_image:8.1f} ms per image  (spread {time.spread / options.batch * 1e3:.1f})")
    ratio = times["dlt"].median / times["keras.applications"].median
    print(f"{what:10}  dlt takes {ratio:.2f} times as long as keras.applications")


if __name__ == "__main__":
    main()
