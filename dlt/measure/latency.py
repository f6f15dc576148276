import dataclasses
import statistics
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from dlt._check import check_positive_int, fail
from dlt.measure._trace import symbolic_inputs
from dlt.show import Table


@dataclasses.dataclass(frozen=True, repr=False)
class Latency(Table):
    """Seconds per run, measured.

    Attributes:
        seconds: Tuple of floats, one per repetition, in the order measured.
    """

    seconds: tuple

    @property
    def median(self):
        """Return the median in seconds, which one slow run does not move."""
        return statistics.median(self.seconds)

    @property
    def spread(self):
        """Return the distance between the quartiles in seconds, which is what half of the runs differ by."""
        first, _, third = statistics.quantiles(self.seconds, n=4)
        return third - first

    def rows(self):
        """Return median, spread and number of runs."""
        return [
            ("median", "spread", "runs"),
            (f"{self.median * 1e3:.2f} ms", f"{self.spread * 1e3:.2f} ms", len(self.seconds)),
        ]

    def plot(self, **others):
        """Draw the time of every run in the order measured; `others`, label -> `Latency`, are drawn beside it."""
        from dlt.plot import curves  # matplotlib is slow to import, and only figures need it

        lines = {"model": self, **others}
        lines = {label: [seconds * 1e3 for seconds in line.seconds] for label, line in lines.items()}
        return curves(lines, xlabel="run", ylabel="time per run (ms)")


class Latencies(Table, dict):
    """A dict, name -> `Latency`, of runs that took turns."""

    def rows(self):
        """Return a row per name: median, spread and number of runs."""
        rows = [(name, *result.rows()[1]) for name, result in self.items()]
        return [("name", "median", "spread", "runs"), *rows]

    def plot(self):
        """Draw the medians."""
        from dlt.plot import bars  # matplotlib is slow to import, and only figures need it

        medians = {name: result.median * 1e3 for name, result in self.items()}
        return bars(medians, xlabel="median time per run (ms)", form="{:.3g}")


def latency(
    model: keras.Model, input_shape: tuple | None = None, batch_size: int = 1, repeats: int = 20, warmup: int = 3
) -> Latency:
    """Time a model's compiled forward pass, from arrays in to arrays out.

    The result is copied back to NumPy in every run, so that a device that works in the background has finished.

    Inputs are random numbers, or zeros where the model takes whole numbers.

    Args:
        model: A Keras model, of one input or several.
        input_shape: Shape of one input without the batch; needed where the model leaves sides open.
        batch_size: Whole number of inputs per run.
        repeats: Whole number of measured runs, at least 2.
        warmup: Whole number of runs before them, which compile and fill caches.

    Returns:
        A `Latency`.

    Raises:
        ValueError: If the shape of the input is not known, or a number is out of range.
    """
    batch, rng = check_positive_int("batch_size", batch_size), np.random.default_rng(0)

    def draw(tensor):
        numbers = rng.normal(size=(batch, *tensor.shape[1:]))
        return (
            numbers.astype("float32")
            if keras.backend.is_float_dtype(tensor.dtype)
            else np.zeros(numbers.shape, tensor.dtype)
        )

    arrays = keras.tree.map_structure(draw, symbolic_inputs(model, input_shape))
    return alternate({"model": lambda: model.predict_on_batch(arrays)}, repeats, warmup)["model"]


def alternate(
    runs: dict[str, Callable[[], Any]],
    repeats: int = 20,
    warmup: int = 3,
    clock: Callable[[], float] = time.perf_counter,
) -> Latencies:
    """Time several functions in turn, so that a busy moment of the machine hits all of them alike.

    Args:
        runs: Dict, name -> function without arguments that returns only when its work is done.
        repeats: Whole number of measured rounds, at least 2.
        warmup: Whole number of runs of each before them, which compile and fill caches.
        clock: Function that returns seconds. `time.process_time` counts what this process computes, on all of its
            threads together, and no waiting: neither for other programs nor for a GPU.

    Returns:
        A `Latencies`: a dict, name -> `Latency`, that prints as a table.

    Raises:
        ValueError: If a number is out of range.

    >>> result = alternate({"short": lambda: sum(range(10)), "long": lambda: sum(range(100_000))}, repeats=5)
    >>> result["short"].median < result["long"].median
    True
    """
    check_positive_int("warmup", warmup)
    if check_positive_int("repeats", repeats) < 2:
        fail("One run has no spread.", "at least 2 repeats", f"repeats={repeats}", "Pass for example repeats=5.")
    for run in runs.values():  # each on its own: TensorFlow warns when many models compile in a row
        for _ in range(warmup):
            run()
    seconds = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            start = clock()
            run()
            seconds[name].append(clock() - start)
    return Latencies({name: Latency(tuple(times)) for name, times in seconds.items()})
