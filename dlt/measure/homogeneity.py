import dataclasses
import math
import numbers
from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np
from keras import ops

from dlt._check import fail
from dlt._precision import full_float32
from dlt.show import Table

SCALES = (0.01, 0.1, 0.5, 2.0, 10.0, 100.0)
TOLERANCE = 1e-5  # float32 rounds at 1e-7, and a deep network rounds often


@dataclasses.dataclass(frozen=True, repr=False)
class Homogeneity(Table):
    """What a function makes of the scale of its input, measured.

    Attributes:
        scales: Tuple of floats, the numbers a that the input was multiplied by.
        equivariance: Tuple of floats, one per scale: `||f(a x) - a f(x)|| / ||a f(x)||`, the worst of all outputs.
        invariance: Tuple of floats, one per scale: `||f(a x) - f(x)|| / ||f(x)||`, the worst of all outputs.
        degree: Float, the q that fits `||f(a x)|| = a^q ||f(x)||` best, by least squares on logarithms. 1 for an
            equivariant f, 0 for an invariant one. It sees lengths only: the errors say whether f deserves a degree.
    """

    scales: tuple
    equivariance: tuple
    invariance: tuple
    degree: float

    @property
    def equivariance_error(self):
        """Return the largest equivariance error over the scales."""
        return max(self.equivariance)

    @property
    def invariance_error(self):
        """Return the largest invariance error over the scales."""
        return max(self.invariance)

    @property
    def verdict(self):
        """Return "equivariant" or "invariant" where the largest error is at most 1e-5, otherwise "neither"."""
        errors = {"equivariant": self.equivariance_error, "invariant": self.invariance_error}
        return next((name for name, error in errors.items() if error <= TOLERANCE), "neither")

    @property
    def summary(self):
        """Return the verdict and the fitted degree in words."""
        return f"{self.verdict}, degree {self.degree:.2f}"

    def rows(self):
        """Return a row per scale, and the verdict with the fitted degree."""
        errors = zip(self.scales, self.equivariance, self.invariance, strict=True)
        return [
            ("scale", "equivariance error", "invariance error"),
            *((f"{scale:g}", f"{first:.1e}", f"{second:.1e}") for scale, first, second in errors),
            (
                f"{self.verdict}, degree {self.degree:.2f}",
                f"{self.equivariance_error:.1e}",
                f"{self.invariance_error:.1e}",
            ),
        ]

    def plot(self, **others):
        """Draw the errors over the scale; `others`, label -> `Homogeneity`, adds networks to compare with.

        Errors below 1e-9, exact zeros among them, are drawn at 1e-9, since a logarithmic axis has no zero.
        """
        from dlt.plot import curves  # matplotlib is slow to import, and only figures need it

        lines = {"equivariance error": self.equivariance, "invariance error": self.invariance}
        lines |= {f"{label}, equivariance": other.equivariance for label, other in others.items()}
        lines = {label: np.maximum(errors, 1e-9) for label, errors in lines.items()}
        return curves(lines, x=self.scales, xlabel="scale of the input, a", ylabel="relative error", log="xy")


@full_float32()
def homogeneity(model: Callable, x: Any, scales: Iterable[float] = SCALES) -> Homogeneity:
    """Measure whether a function keeps the scale of its input, forgets it, or neither.

    f is *equivariant* to scale (homogeneous of degree 1) if `f(a x) = a f(x)` for all a > 0, and *invariant*
    (degree 0) if `f(a x) = f(x)`. The input is multiplied by each scale, f runs in inference mode and in full
    float32 (`full_float32`), and both differences are reported relative to what they should be. Norms are taken in
    float64 over a whole output.

    Args:
        model: A Keras model or layer, called with `training=False`; or any function of `x`. It may return one tensor
            or a nest of them: then the worst one counts.
        x: Array of inputs with the batch, or a nest of arrays if the model takes several.
        scales: Positive numbers, not all 1.

    Returns:
        A `Homogeneity`.

    Raises:
        ValueError: If a scale is not a positive number, the model takes whole numbers, which have no scale, or an
            output is zero everywhere or not finite, so that nothing can be compared.

    >>> x = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("float32")
    >>> homogeneity(keras.layers.Conv2D(4, 3, use_bias=False, activation="relu"), x).verdict
    'equivariant'
    >>> homogeneity(keras.layers.LayerNormalization(epsilon=1e-12), x, scales=(0.5, 2, 10)).verdict
    'invariant'
    >>> homogeneity(keras.layers.Activation("gelu"), x).verdict
    'neither'
    """
    scales = check_scales(scales)
    check_floats(model)
    x = keras.tree.map_structure(lambda array: ops.convert_to_numpy(array).astype("float32"), x)
    reference = outputs_of(model, x)
    scaled = [outputs_of(model, keras.tree.map_structure(lambda array, a=a: np.float32(a) * array, x)) for a in scales]
    return compare(reference, scaled, scales)


def compare(reference, scaled, scales):
    """Return the `Homogeneity` of outputs: `reference` at scale 1, and `scaled`, a list of outputs per scale."""
    lengths = np.array([[length(y) for y in outputs] for outputs in [reference, *scaled]])
    if not (np.isfinite(lengths).all() and lengths[0].all()):
        fail(
            "Nothing can be compared.",
            "outputs that are finite at every scale, and not zero everywhere at scale 1",
            f"norms of the outputs at scales 1, {', '.join(f'{a:g}' for a in scales)}: {lengths.tolist()}",
            "Pass other inputs, or smaller scales.",
        )

    def worst(a, factor):
        pairs = zip(scaled[scales.index(a)], reference, strict=True)
        return max(length(y - factor * y1) / length(factor * y1) for y, y1 in pairs)

    total = np.log(np.maximum(np.linalg.norm(lengths, axis=1), np.finfo(float).tiny))
    degree = np.polyfit(np.log([1.0, *scales]), total, deg=1)[0]
    return Homogeneity(
        scales=scales,
        equivariance=tuple(worst(a, a) for a in scales),
        invariance=tuple(worst(a, 1.0) for a in scales),
        degree=float(degree),
    )


def length(y):
    """Return the Euclidean norm of an array. NumPy's own one wakes all threads, for however small an array."""
    return math.sqrt(np.sum(np.square(y)))


def outputs_of(model, x):
    """Return the outputs at inference as a flat list of float64 arrays."""
    outputs = model(x, training=False) if isinstance(model, keras.Layer) else model(x)
    return [ops.convert_to_numpy(ops.cast(y, "float32")).astype("float64") for y in keras.tree.flatten(outputs)]


def check_floats(model):
    """Raise if an input of the model is of whole numbers."""
    dtypes = [tensor.dtype for tensor in keras.tree.flatten(getattr(model, "inputs", None) or [])]
    if not all(map(keras.backend.is_float_dtype, dtypes)):
        fail(
            f"{model.name} takes whole numbers, which have no scale.",
            "inputs of floating-point numbers",
            f"inputs of {', '.join(dtypes)}",
            "Pass the part of the model that comes after the embedding.",
        )


def check_scales(scales):
    """Return `scales` as a tuple of floats if they are positive numbers and not all 1."""
    scales = tuple(scales)
    good = all(isinstance(a, numbers.Real) and not isinstance(a, bool) and 0 < a < math.inf for a in scales)
    if not good or set(scales) <= {1}:
        fail(
            "Invalid `scales`.",
            "positive numbers, at least one of them not 1",
            f"scales={scales}",
            "Pass for example scales=(0.1, 0.5, 2, 10).",
        )
    return tuple(float(a) for a in scales)
