"""What every part of a model was given and gave in one run, and how to run one part alone on a multiple of it."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
from keras import ops

from dlt.measure._trace import calling, children, own_call, parts

ADDED = ("bias", "beta", "moving_mean", "mean")  # weights with these names are added or subtracted
SAMPLE = 1000  # numbers that are compared first: most tensors differ in them already


@dataclasses.dataclass
class Heard:
    """One call of a child, inside a call of the part around it."""

    child: keras.Operation
    given: tuple  # positional and named arguments
    reply: Any


@dataclasses.dataclass
class Visit:
    """A call of a part of a model.

    Attributes:
        path: String, where the part is.
        part: A layer, or an operation of a functional graph.
        children: List of the parts directly inside.
        given: Tuple, its positional and named arguments; None if it never ran.
        reply: What it returned.
        heard: List of `Heard`, the calls of its children, in order.
        depends: The same three as one nest of booleans: does a tensor change with the input of the model?
        opaque: Whether children ran on symbols, as inside a compiled loop: then the part is taken as one.
    """

    path: str
    part: keras.Operation
    children: list
    given: tuple | None = None
    reply: Any = None
    heard: list = dataclasses.field(default_factory=list)
    depends: Any = None
    opaque: bool = False

    @property
    def tensors(self) -> tuple:
        """Return all that the part and its children were given and gave, as one nest."""
        return self.given, self.reply, [(call.given, call.reply) for call in self.heard]


def visit(model: keras.Operation, x: Any, other: Any) -> list[list[Visit]]:
    """Run a model on `x`, then on another input of the same shape, and return the `Visit`s of each part, in order.

    What is the same in both runs does not depend on the input: an array among the arguments, a position, a mask.
    """
    first = record(model, x)
    record(model, other, first)
    found = [[each for each in visits if each.given is not None] for visits in first.values()]
    for each in (each for visits in found for each in visits):
        if each.depends is None:  # did not run again
            each.depends = keras.tree.map_structure(lambda _: True, each.tensors)
    return found


def record(model: keras.Operation, x: Any, earlier: dict | None = None) -> dict:
    """Run a model and return a dict, id of a part -> list of its visits, one per call.

    With the visits of an earlier run, it is noted there what differs, and nothing is kept here.
    """
    stack, found = [], {}
    with contextlib.ExitStack() as contexts:
        for path, part in parts(model, model.name):
            visits = found[id(part)] = []
            call = recording(path, part, stack, visits, None if earlier is None else earlier[id(part)])
            contexts.enter_context(calling(part, call))
        model(x, training=False)
    return found


def recording(path: str, part: keras.Operation, stack: list, visits: list, earlier: list | None) -> Callable:
    """Return the `call` of a part that notes every call, and the same with the part around it."""
    original, inside = own_call(part)[1], children(part)

    @functools.wraps(original)
    def call(*args, **kwargs):
        outer, each, number = (stack[-1] if stack else None), Visit(path, part, inside), len(visits)
        visits.append(each)
        stack.append(each)
        try:
            reply = original(*args, **kwargs)
        finally:
            stack.pop()
        given = args, {name: value for name, value in kwargs.items() if name != "training"}
        symbols = not are_numbers((given, reply))
        if outer is not None:
            outer.heard.append(Heard(part, given, reply))
            outer.opaque |= symbols
        if symbols:
            return reply
        each.given, each.reply = given, reply
        if each.opaque:
            each.children, each.heard = [], []
        if earlier is not None:
            if number < len(earlier):
                set_depends(earlier[number], each)
            each.given, each.reply, each.heard = None, None, []
        return reply

    return call


def are_numbers(nest: Any) -> bool:
    """Return whether the tensors of a nest hold numbers. Inside a compiled loop or map they are symbols."""
    for tensor in filter(ops.is_tensor, keras.tree.flatten(nest)):
        try:
            ops.convert_to_numpy(ops.reshape(tensor, (-1,))[:1])
        except Exception:  # every backend has an error of its own for it
            return False
        return True
    return True


def set_depends(old: Visit, new: Visit) -> None:
    """Note which tensors of a visit differ in another run; all of them, if that took another path."""
    before, after = keras.tree.flatten(old.tensors), keras.tree.flatten(new.tensors)
    if len(before) == len(after):
        flags = [differ(a, b) for a, b in zip(before, after, strict=True)]
        old.depends = keras.tree.pack_sequence_as(old.tensors, flags)


def differ(a: Any, b: Any) -> bool:
    """Return whether two tensors or arrays are not the same numbers; anything else is taken for the same."""
    if a is b or not hasattr(a, "shape"):
        return False
    if tuple(a.shape) != tuple(b.shape):
        return True
    a, b = (ops.reshape(x, (-1,)) for x in (a, b))
    first = (ops.convert_to_numpy(x[:SAMPLE]) for x in (a, b))
    return not np.array_equal(*first) or not np.array_equal(ops.convert_to_numpy(a), ops.convert_to_numpy(b))


def is_float(x: Any) -> bool:
    """Return whether a value is a tensor or an array of floating-point numbers."""
    is_array = ops.is_tensor(x) or isinstance(x, np.ndarray)
    return is_array and keras.backend.is_float_dtype(keras.backend.standardize_dtype(x.dtype))


def scaled(nest: Any, depends: Any, scale: float) -> Any:
    """Return the nest with every floating-point tensor that depends on the input multiplied by `scale`."""

    def one(value, changes):
        return ops.multiply(value, ops.cast(scale, value.dtype)) if changes and is_float(value) else value

    return keras.tree.map_structure(one, nest, depends)


class OtherPath(Exception):
    """A part calls other children than before."""


def probe(each: Visit, scale: float) -> list:
    """Call a part alone on a multiple of what it was given; return its outputs, and each tensor it gives a child.

    Each is a list of tensors to be compared. The children do not compute: they reply the same multiple of what they
    replied before. What they are given is compared too, so that arithmetic before a child is seen as well as after it.
    """
    (given, _, calls), heard, expected = each.depends, iter(each.heard), []
    asked = iter(calls)
    args, kwargs = scaled(each.given, given, scale)

    def answer(child, *args, **kwargs):
        before, flags = next(heard, None), next(asked, None)
        if before is None or before.child is not child:
            raise OtherPath
        arguments = args, {name: value for name, value in kwargs.items() if name != "training"}
        expected.extend(chosen(arguments, flags[0]))
        return scaled(before.reply, flags[1], scale)

    training = {"training": False} if isinstance(each.part, keras.Layer) else {}
    with contextlib.ExitStack() as stack:
        for child in each.children:
            stack.enter_context(calling(child, functools.partial(answer, child)))
        outputs = each.part(*args, **kwargs, **training)
    if next(heard, None) is not None:
        raise OtherPath
    return [keras.tree.flatten(outputs), *([tensor] for tensor in expected)]


def reference(each: Visit) -> list:
    """Return the same tensors as `probe`, as they were in the run of the whole model."""
    given = (chosen(call.given, flags[0]) for call, flags in zip(each.heard, each.depends[2], strict=True))
    return [keras.tree.flatten(each.reply), *([tensor] for tensors in given for tensor in tensors)]


def chosen(nest: Any, depends: Any) -> list:
    """Return the floating-point tensors of a nest that depend on the input."""
    pairs = zip(keras.tree.flatten(nest), keras.tree.flatten(depends), strict=True)
    return [value for value, changes in pairs if changes and is_float(value)]


@contextlib.contextmanager
def randomised_zeros(model: keras.Operation) -> Iterator[None]:
    """While open, the weights of a model that are zero everywhere hold random numbers, none of them zero."""
    quantized = [x for x in model._flatten_layers() if x.quantization_mode] if isinstance(model, keras.Layer) else []
    tables = {id(w) for layer in quantized for w in layer.weights if w.name not in ADDED}  # may be indices
    floats = (w for w in getattr(model, "weights", []) if "float" in w.dtype and id(w) not in tables)
    zeros = [weight for weight in floats if not np.any(ops.convert_to_numpy(weight))]
    rng = np.random.default_rng(0)
    for weight in zeros:
        fan_in = max(np.prod(weight.shape[:-1], dtype=int), 1)
        signs = 1 if "variance" in weight.name else rng.choice([-1, 1], weight.shape)
        weight.assign(rng.uniform(0.5, 1.5, weight.shape) * signs / np.sqrt(fan_in))
    try:
        yield
    finally:
        for weight in zeros:
            weight.assign(np.zeros(weight.shape))


@contextlib.contextmanager
def in_float32(model: keras.Operation) -> Iterator[None]:
    """While open, layers of half precision compute in float32, so that rounding is not taken for arithmetic."""
    halves = [
        (part, part.dtype_policy)
        for _, part in parts(model)
        if isinstance(part, keras.Layer)
        and part.compute_dtype in ("float16", "bfloat16")
        and part.dtype_policy.quantization_mode is None
    ]
    for part, _ in halves:
        part.dtype_policy = "float32"
    try:
        yield
    finally:
        for part, policy in halves:
            part.dtype_policy = policy
