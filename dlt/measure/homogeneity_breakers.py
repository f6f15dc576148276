import dataclasses
import math
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from dlt._precision import full_float32
from dlt.measure._trace import children, symbolic_inputs
from dlt.measure._verdict import tolerance, verdict
from dlt.measure._visits import ADDED, Visit, in_float32, randomised_zeros, visit
from dlt.measure.homogeneity import SCALES, check_floats, check_scales
from dlt.show import Table

HOMOGENEOUS = ("linear", "relu", "leaky_relu")
FORGETFUL = (  # divide by a size measured on the very input
    layers.GroupNormalization,
    layers.LayerNormalization,
    layers.RMSNormalization,
    layers.UnitNormalization,
)
KNOWN = (  # what they do is known from their weights and their activation, and is the same all over a map
    layers.Activation,
    layers.BatchNormalization,
    layers.Conv1D,
    layers.Conv2D,
    layers.Conv3D,
    layers.Dense,
    layers.DepthwiseConv2D,
    layers.LayerNormalization,
    layers.SeparableConv2D,
)


@dataclasses.dataclass(frozen=True)
class Breaker:
    """A part of a model that does not keep the scale.

    Attributes:
        path: String, where it is: names from the outside in, joined by "/".
        kind: String, its class.
        reason: String, why it breaks degree 1.
        degree: Float, the degree fitted when it was probed alone.
        error: Float, its equivariance error alone, the largest over the scales.
    """

    path: str
    kind: str
    reason: str
    degree: float
    error: float


class Breakers(Table, tuple):
    """A tuple of `Breaker`, in the order of the computation.

    Empty: every part keeps the scale, and so does the model. Not empty: the model keeps it only if its parts make up
    for each other, as where a layer of degree 0 feeds a gate. `homogeneity` of the whole model tells.
    """

    def rows(self):
        """Return a row per breaker."""
        header = ("layer", "kind", "why", "degree alone", "error alone")
        return [header, *((b.path, b.kind, b.reason, f"{b.degree:.2f}", f"{b.error:.1e}") for b in self)]

    def plot(self):
        """Draw the largest error of each kind of breaker; errors outside of [1e-9, 1e3] are drawn at the ends."""
        from dlt.plot import bars  # matplotlib is slow to import, and only figures need it

        if not self:
            return bars({"every part keeps the scale": 0}, xlabel="largest equivariance error alone")
        errors = {}
        for breaker in self:
            errors.setdefault(breaker.kind, []).append(breaker.error)
        drawn = {f"{kind} ({len(found)} x)": min(max(*found, 1e-9), 1e3) for kind, found in errors.items()}
        return bars(drawn, xlabel="largest equivariance error alone", form="{:.1e}", log=True)


@full_float32()
def homogeneity_breakers(model: keras.Layer, x: Any = None, scales: Iterable[float] = SCALES) -> Breakers:
    """Find the parts of a model that break `f(a x) = a f(x)`, and say why.

    Three steps. The model runs once on `x`, and every layer inside, down to the innermost, keeps what it was given and
    gave, at every call. Then each is *read* (does it own an additive weight? which activation? does it normalize by its
    own input?) and *probed alone*: called again on its arguments times each scale. A layer that contains others is
    probed with its children replaced by perfect ones, which return a times what they returned before; so only its own
    arithmetic is tested, what it does before a child as well as after, and a layer nobody has read is judged by what it
    does. What does not depend on the model's input, as an array among the arguments, is not scaled; a second run, on
    another input, tells. Layers of Keras whose arithmetic is known are probed on a part of their maps, or not at all.

    Weights that are exactly zero are random while the model is probed and restored afterwards: a bias is a bias before
    training has moved it. Layers of half precision compute in float32, so that rounding is not taken for arithmetic.
    Layers inside a compiled loop, as a cell on JAX, are not seen one by one; the layer around them is probed as one.

    Args:
        model: A built Keras model or layer.
        x: Array of inputs with the batch, or a nest of them; None draws normal numbers, 64 wide where a side is open.
        scales: Positive numbers.

    Returns:
        A `Breakers`, a tuple of `Breaker` that prints as a table.

    Raises:
        ValueError: If the model does not fix its number of channels and `x` is None, or takes whole numbers, which have
            no scale.

    >>> model = keras.Sequential([
    ...     keras.Input((8, 8, 3)),
    ...     layers.Conv2D(4, 3, name="biased"),
    ...     layers.ReLU(name="relu"),
    ...     layers.Conv2D(4, 3, use_bias=False, activation="gelu", name="curved"),
    ... ])
    >>> [(breaker.path, breaker.reason) for breaker in homogeneity_breakers(model)]
    [('biased', 'additive weight: bias'), ('curved', 'activation: gelu')]
    """
    factors = check_scales(scales)
    check_floats(model)
    x = draw(model) if x is None else keras.tree.map_structure(as_float32, x)
    rng = np.random.default_rng(1)
    other = keras.tree.map_structure(lambda array: array * rng.normal(size=array.shape).astype("float32"), x)
    with in_float32(model), randomised_zeros(model):
        found = [next(filter(None, (judge(each, factors) for each in calls)), None) for calls in visit(model, x, other)]
    return Breakers(breaker for breaker in found if breaker)


def as_float32(array: Any) -> np.ndarray:
    """Return an array or tensor as a NumPy array of float32."""
    return ops.convert_to_numpy(array).astype("float32")


def draw(model: keras.Layer) -> Any:
    """Return one random input (or a nest of them) that the model takes."""
    shapes = [
        tensor.shape for tensor in keras.tree.flatten(getattr(model, "inputs", None) or symbolic_inputs(model, None))
    ]
    rng = np.random.default_rng(0)
    drawn = [rng.normal(size=[1, *(side or 64 for side in shape[1:])]).astype("float32") for shape in shapes]
    structure = model.input if not isinstance(model, keras.Sequential) else model.inputs[0]
    return keras.tree.pack_sequence_as(structure, drawn)


def judge(each: Visit, scales: tuple) -> Breaker | None:
    """Return the `Breaker` that a part is, or None if it keeps the scale."""
    if is_wiring(each.part) or not any(keras.tree.flatten(each.depends)):
        return None
    known = is_known(each.part)
    reason = ", ".join(read(each.part))
    if known and not reason:
        return None
    result = verdict(each, scales, crop=known)
    if result.equivariance_error <= tolerance(each):
        certain = is_of_keras(each.part) and not each.children  # a child may well apply the activation
        reason = ", ".join(read(each.part, by_keras=True)) if certain else ""
        if not reason:
            return None
    reason = reason or explain(result)
    return Breaker(each.path, type(each.part).__name__, reason, result.degree, result.equivariance_error)


def is_known(part: keras.Operation) -> bool:
    """Return whether weights and activation tell what a part does, and whether it does the same all over a map."""
    activation = getattr(part, "activation", None)
    usual = activation is None or is_activation_of_keras(activation)
    return type(part) in KNOWN and usual and getattr(part, "quantization_mode", None) is None


def is_activation_of_keras(activation: Any) -> bool:
    """Return whether a function is one of `keras.activations`, not one of the same name."""
    return getattr(keras.activations, getattr(activation, "__name__", ""), None) is activation


def is_wiring(part: keras.Operation) -> bool:
    """Return whether a part only hands tensors from one part inside to the next, as a functional model does."""
    return isinstance(part, keras.Model) and type(part).call.__qualname__ in ("Functional.call", "Sequential.call")


def is_of_keras(part: keras.Operation) -> bool:
    """Return whether a part is one of Keras's own, so that its attributes mean what they say."""
    return type(part).__module__.startswith("keras.")


def read(part: keras.Operation, by_keras: bool = False) -> list[str]:
    """Return why a part breaks degree 1 as far as its class and weights tell.

    With `by_keras`, an activation counts only if it is one of Keras's; of one's own, the name says little.
    """
    inside = {id(weight) for child in children(part) for weight in getattr(child, "weights", [])}
    own = [weight for weight in getattr(part, "weights", []) if id(weight) not in inside]
    reasons = [f"additive weight: {weight.name}" for weight in own if weight.name in ADDED]
    activation = getattr(part, "activation", None)
    name, usual = getattr(activation, "__name__", ""), is_activation_of_keras(activation)
    if name and not (usual and name in HOMOGENEOUS) and (usual or not by_keras):
        reasons.append(f"activation: {name}")
    if isinstance(part, FORGETFUL):
        reasons.append("forgets the scale: divides by the size of its input")
    return reasons


def explain(result):
    """Return what a probe says of a part that could not be read."""
    if not math.isfinite(result.equivariance_error):
        return "found by probing: no degree fits"
    if result.invariance_error <= 1e-3:
        return "found by probing: forgets the scale"
    nearest = round(result.degree)
    if nearest == 1 and result.equivariance_error < 0.1:
        return "found by probing: nearly degree 1, as with an added epsilon"
    if nearest != 1 and abs(result.degree - nearest) < 1e-3:
        return f"found by probing: degree {nearest}"
    return "found by probing: no degree fits"
