import contextlib
import dataclasses
import math

import keras
import numpy as np
from keras import layers, ops

from dlt._precision import full_float32
from dlt.measure._table import Table
from dlt.measure._trace import calling, listening, symbolic_inputs
from dlt.measure.homogeneity import SCALES, TOLERANCE, Homogeneity, check_scales, compare

HOMOGENEOUS = ("linear", "relu", "leaky_relu")
ADDED = ("bias", "beta", "moving_mean", "mean")  # weights with these names are added or subtracted
FORGETFUL = (  # divide by a size measured on the very input
    layers.GroupNormalization,
    layers.LayerNormalization,
    layers.RMSNormalization,
    layers.UnitNormalization,
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


@dataclasses.dataclass
class Visit:
    """A part of a model with the arguments of its first call and the outputs of all calls of its children."""

    path: str
    part: object  # a layer, or an operation of a functional graph
    children: list
    args: tuple = None
    kwargs: dict = None


@full_float32()
def homogeneity_breakers(model, x=None, scales=SCALES):
    """Find the parts of a model that break `f(a x) = a f(x)`, and say why.

    Three steps. The model runs once on `x`, and every layer inside, down to the innermost, keeps the arguments it got.
    Then each is *read* (does it own an additive weight? which activation? does it normalize by its own input?) and
    *probed alone*: called again on its arguments times each scale. A layer that contains others is probed with its
    children replaced by perfect ones, which return a times what they returned before; so only its own arithmetic is
    tested, and a layer nobody has read is judged by what it does. Weights that are exactly zero are random while
    probed and restored afterwards: a bias is a bias before training has moved it.

    Args:
        model: A built Keras model or layer.
        x: Array of inputs with the batch, or a nest of them; None draws normal numbers, 64 wide where a side is open.
        scales: Positive numbers.

    Returns:
        A `Breakers`, a tuple of `Breaker` that prints as a table.

    Raises:
        ValueError: If the model does not fix its number of channels and `x` is None.

    >>> model = keras.Sequential([
    ...     keras.Input((8, 8, 3)),
    ...     layers.Conv2D(4, 3, name="biased"),
    ...     layers.ReLU(name="relu"),
    ...     layers.Conv2D(4, 3, use_bias=False, activation="gelu", name="curved"),
    ... ])
    >>> [(breaker.path, breaker.reason) for breaker in homogeneity_breakers(model)]
    [('biased', 'additive weight: bias'), ('curved', 'activation: gelu')]
    """
    scales = check_scales(scales)
    visits = visit(model, draw(model) if x is None else x)
    found = (judge(each, scales) for each in visits if each.args is not None)
    return Breakers(breaker for breaker in found if breaker)


def draw(model):
    """Return one random input (or a nest of them) that the model takes."""
    shapes = [
        tensor.shape for tensor in keras.tree.flatten(getattr(model, "inputs", None) or symbolic_inputs(model, None))
    ]
    rng = np.random.default_rng(0)
    drawn = [rng.normal(size=[1, *(side or 64 for side in shape[1:])]).astype("float32") for shape in shapes]
    structure = model.input if not isinstance(model, keras.Sequential) else model.inputs[0]
    return keras.tree.pack_sequence_as(structure, drawn)


def visit(model, x):
    """Run the model once and return a `Visit` per part, innermost parts after the ones they belong to."""
    visits = list(parts(model, model.name))
    with contextlib.ExitStack() as stack:
        for each in visits:
            stack.enter_context(listening(each.part, lambda args, kwargs, _, each=each: remember(each, args, kwargs)))
        model(x, training=False)
    return visits


def parts(part, path, prefix="", seen=None):
    """Yield a `Visit` for a layer or operation and for all that are inside, each object once."""
    seen = set() if seen is None else seen
    if id(part) in seen:
        return
    seen.add(id(part))
    children = children_of(part)
    yield Visit(path, part, children)
    for child in children:
        yield from parts(child, f"{prefix}{child.name}", f"{prefix}{child.name}/", seen)


def children_of(part):
    """Return the layers directly inside a layer, and the operations of its graph if it is functional."""
    if not isinstance(part, keras.Layer):
        return []
    inside = {id(child): child for child in getattr(part, "operations", [])}
    inside |= {id(child): child for child in part._flatten_layers(include_self=False, recursive=False)}
    return [child for child in inside.values() if not isinstance(child, layers.InputLayer)]


def remember(each, args, kwargs):
    """Keep the arguments of the first call."""
    if each.args is None:
        each.args, each.kwargs = args, {key: value for key, value in kwargs.items() if key != "training"}


def judge(each, scales):
    """Return the `Breaker` that a part is, or None if it keeps the scale."""
    with randomised_zeros(each.part):
        reference, replies = probe(each, 1.0)
        result = verdict(reference, [probe(each, a, replies)[0] for a in scales], scales)
    keeps = result.equivariance_error <= TOLERANCE
    reason = read(each.part, activates=not (keeps and each.children))  # a child may well apply the activation
    if keeps and not reason:
        return None
    reason = reason or explain(result)
    return Breaker(each.path, type(each.part).__name__, reason, result.degree, result.equivariance_error)


def verdict(reference, scaled, scales):
    """Return the `Homogeneity` of a part, also where it gives only zeros, or more than a float can hold."""
    silent = not any(y.any() for y in reference)
    finite = all(np.isfinite(y).all() for outputs in [reference, *scaled] for y in outputs)
    if finite and not silent:
        return compare(reference, scaled, scales)
    error = 0.0 if finite and not any(y.any() for outputs in scaled for y in outputs) else math.inf
    return Homogeneity(scales, (error,), (error,), math.nan)


def probe(each, scale, replies=None):
    """Call a part alone on its arguments times `scale`; return its outputs and what its children replied.

    With `replies`, the children do not compute: they return `scale` times what they replied before.
    """
    heard, given = [], iter(replies or ())
    args, kwargs = scaled((each.args, each.kwargs), scale)
    training = {"training": False} if isinstance(each.part, keras.Layer) else {}
    with contextlib.ExitStack() as stack:
        for child in each.children:
            if replies is None:
                stack.enter_context(listening(child, lambda _args, _kwargs, outputs: heard.append(outputs)))
            else:
                stack.enter_context(calling(child, lambda *_args, **_kwargs: scaled(next(given), scale)))
        outputs = each.part(*args, **kwargs, **training)
    arrays = [ops.convert_to_numpy(ops.cast(y, "float32")).astype("float64") for y in keras.tree.flatten(outputs)]
    return arrays, heard


def scaled(nest, scale):
    """Return the nest with every floating-point tensor in it multiplied by `scale`."""

    def one(value):
        is_float = ops.is_tensor(value) or isinstance(value, np.ndarray)
        is_float = is_float and keras.backend.is_float_dtype(keras.backend.standardize_dtype(value.dtype))
        return ops.multiply(value, ops.cast(scale, value.dtype)) if is_float else value

    return keras.tree.map_structure(one, nest)


@contextlib.contextmanager
def randomised_zeros(part):
    """While open, the weights of a layer that are zero everywhere hold random numbers."""
    rng = np.random.default_rng(0)
    zeros = [w for w in getattr(part, "weights", []) if "float" in w.dtype and not np.any(ops.convert_to_numpy(w))]
    for weight in zeros:
        weight.assign(rng.normal(size=weight.shape).astype("float32"))
    try:
        yield
    finally:
        for weight in zeros:
            weight.assign(np.zeros(weight.shape, "float32"))


def read(part, activates=True):
    """Return why a part breaks degree 1 as far as its class and weights tell, "" if they do not.

    With `activates` False it is known not to apply the activation that it names.
    """
    inside = {id(weight) for child in children_of(part) for weight in getattr(child, "weights", [])}
    own = [weight for weight in getattr(part, "weights", []) if id(weight) not in inside]
    reasons = [f"additive weight: {weight.name}" for weight in own if weight.name in ADDED]
    activation = getattr(getattr(part, "activation", None), "__name__", None)
    if activates and activation and activation not in HOMOGENEOUS:
        reasons.append(f"activation: {activation}")
    if isinstance(part, FORGETFUL):
        reasons.append("forgets the scale: divides by the size of its input")
    return ", ".join(reasons)


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
