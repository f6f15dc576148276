"""What an operation that nobody knows does to "which input pixels does this element see?", found by trying.

All elements of an input that see the same pixels are changed at once, and whatever moves in an output sees them as
well. So it does not matter how the operation moves axes or how many its outputs have. Changes by ordinary numbers
show smooth functions, changes by very large ones show maxima, thresholds and orders.
"""

import inspect
import math

import keras
import numpy as np
from keras import ops

from dlt.measure._seen import NOTHING, join

LARGE = 1e3
MOST = 2**33  # numbers that one probe may compute
LOOPS = 1000  # that one probe may have JAX compile; at some 2,000 a process has no room for more programs and dies


class NotProbed(NotImplementedError):
    """Why an operation cannot be probed."""


def probe(operation, args, kwargs, known, most=MOST):
    """Return what the outputs of an operation see, each for height and for width.

    Args:
        operation: A layer or operation that runs on numbers.
        args: Its arguments, with symbolic tensors for tensors.
        kwargs: Its named arguments, likewise.
        known: Dict, id of a symbolic tensor -> what it sees, for height and for width.
        most: Whole number, how many numbers may be computed.

    Raises:
        NotProbed: If the operation does not run on numbers, gives others every time, or takes whole numbers, which
            may be positions; or if this would take too long.
    """
    symbols = [x for x in keras.tree.flatten((args, kwargs)) if isinstance(x, keras.KerasTensor)]
    seen = [(symbol, known[id(symbol)]) for symbol in symbols if id(symbol) in known]
    if any(not keras.backend.is_float_dtype(symbol.dtype) for symbol, _ in seen):
        raise NotProbed("takes whole numbers")
    work = sum(len(classes_of(one)[0]) * math.prod(symbol.shape) for symbol, pair in seen for one in pair)
    tries = sum(len(changes) for _, _, changes in DRAWS)
    if work * tries > most:
        raise NotProbed("too large")
    runs = sum(len(classes_of(one)[0]) for _, pair in seen for one in pair) * tries
    if runs * compiled_loops(operation, symbols) > LOOPS:
        raise NotProbed("has loops that JAX compiles anew in every run")
    trials = [Trial(operation, args, kwargs, symbols, *draw) for draw in DRAWS]
    for trial in trials:
        trial.check_shapes(trials[0].before)
    parts = [[through(trials, symbol, one) for one in pair] for symbol, pair in seen]
    shapes = [y.shape for y in trials[0].before]
    return [[join([part[axis][i] for part in parts], shape) for axis in (0, 1)] for i, shape in enumerate(shapes)]


def compiled_loops(operation, symbols):
    """Return how many loops JAX compiles in one run of a layer, which is every recurrent layer at every call."""
    if keras.backend.backend() != "jax" or not isinstance(operation, keras.Layer):
        return 0
    loops = sum(isinstance(layer, keras.layers.RNN) for layer in operation._flatten_layers())
    return loops * (symbols[0].shape[1] if isinstance(operation, keras.layers.TimeDistributed) else 1)


def normal(rng, shape):
    """Return numbers of both signs."""
    return rng.normal(size=shape)


def between(rng, shape):
    """Return numbers between 0 and 1, of which roots and logarithms exist."""
    return rng.uniform(0.1, 0.9, size=shape)


def high(rng, shape):
    """Return very large numbers."""
    return LARGE * rng.uniform(1, 2, size=shape)


def low(rng, shape):
    """Return numbers far below zero."""
    return -high(rng, shape)


def tiny(rng, shape):
    """Return numbers close to zero, below any threshold."""
    return 1e-3 * rng.normal(size=shape)


def of_any_size(rng, shape):
    """Return numbers of one size, another one at every call: some lie just above a threshold."""
    return 10 ** rng.uniform(-2, 1) * rng.normal(size=shape)


def zero(rng, shape):
    """Return zeros, which some operations count or leave out."""
    return np.zeros(shape)


DRAWS = (  # seed, before, after
    (0, normal, (normal, high, low)),
    (1, between, (between,)),
    (2, tiny, (of_any_size, zero)),
)


class Trial:
    """An operation on random numbers, and what it gives when one input changes."""

    def __init__(self, operation, args, kwargs, symbols, seed, draw, changes):
        self.operation, self.args, self.kwargs, self.changes = operation, args, kwargs, changes
        self.rng = np.random.default_rng(seed)
        self.weights = random_weights(operation, self.rng)
        self.numbers = {id(x): draw(self.rng, x.shape) for x in symbols}
        self.before = self.run(self.numbers)
        again = self.run(self.numbers)
        self.check_shapes(again)
        if any(exact.any() for exact, _ in map(moved, self.before, again)):
            raise NotProbed("gives other numbers every time")

    def check_shapes(self, outputs):
        """Raise if outputs have other shapes than those before, as positions of what is not zero."""
        if [y.shape for y in outputs] != [y.shape for y in self.before]:
            raise NotProbed("gives outputs of another shape")

    def run(self, numbers):
        """Return the outputs as arrays, with numbers in place of symbols."""
        args, kwargs = keras.tree.map_structure(
            lambda x: ops.convert_to_tensor(numbers[id(x)], dtype=x.dtype) if id(x) in numbers else x,
            (self.args, self.kwargs),
        )
        if "training" in inspect.signature(self.operation.call).parameters:
            kwargs["training"] = kwargs.get("training") or False
        try:
            with keras.StatelessScope(state_mapping=self.weights + random_seeds(self.operation, self.rng)):
                outputs = keras.tree.flatten(self.operation(*args, **kwargs))
                return [ops.convert_to_numpy(y).astype("float64") for y in outputs]
        except Exception as error:  # whatever is called may fail in any way it likes
            raise NotProbed(str(error)) from error

    def changed(self, symbol, at):
        """Yield, for each kind of change of some elements of an input, what has moved in each output."""
        for change in self.changes:
            numbers = np.where(at, change(self.rng, symbol.shape), self.numbers[id(symbol)])
            after = self.run({**self.numbers, id(symbol): numbers})
            self.check_shapes(after)
            yield [moved(*pair) for pair in zip(self.before, after, strict=True)]


def random_weights(operation, rng):
    """Return pairs of a trainable weight of a layer and random numbers for it: at zero they would hide what follows."""
    if not isinstance(operation, keras.Layer):
        return []
    pairs = []
    for layer in operation._flatten_layers():
        for weight in layer._trainable_variables:
            if len(weight.shape) > 1:
                values = rng.normal(size=weight.shape) / math.sqrt(math.prod(weight.shape[:-1]))
            else:
                values = rng.uniform(0.5, 1.5, size=weight.shape)
            pairs.append((weight, ops.convert_to_tensor(values, dtype=weight.dtype)))
    return pairs


def random_seeds(operation, rng):
    """Return pairs of the state of a random generator in a layer and another one."""
    seeds = (
        [s for x in operation._flatten_layers() for s in x._seed_generators]
        if isinstance(operation, keras.Layer)
        else []
    )
    draws = ((s.state, rng.integers(1, 2**20, s.state.shape)) for s in seeds)
    return [(state, ops.convert_to_tensor(draw, dtype=state.dtype)) for state, draw in draws]


def moved(before, after):
    """Return where an output is another one, and where it is so beyond rounding."""
    exact = ~((before == after) | (np.isnan(before) & np.isnan(after)))
    scale = max(np.abs(y[np.isfinite(y)]).max(initial=0) for y in (before, after))
    with np.errstate(invalid="ignore"):
        return exact, exact & ~(np.abs(after - before) <= 1e-5 * scale)


def classes_of(seen):
    """Return the different answers in a tensor, as rows of first, last and edge, and which of them each element has."""
    arrays = np.stack([array.ravel() for array in (seen.first, seen.last, seen.edge)], axis=1)
    classes, label = np.unique(arrays, axis=0, return_inverse=True)
    return classes, label.reshape(seen.first.shape)


def through(trials, symbol, seen):
    """Return what each output sees of one input, along one axis of the image."""
    classes, label = classes_of(seen)
    shapes = [y.shape for y in trials[0].before]
    found = [[np.full(shape, value, "int32") for value in NOTHING] + [np.zeros(shape, bool)] * 2 for shape in shapes]
    seeing = classes[classes[:, 0] <= classes[:, 1]]
    begin, end = seeing[:, 0].min(initial=NOTHING[0]), seeing[:, 1].max(initial=NOTHING[1])
    loose, whole = [seen.loose] * len(shapes), [len(seeing) > 1] * len(shapes)
    for number, (first, last, edge) in enumerate(classes):
        if first > last:
            continue
        tries = [outputs for trial in trials for outputs in trial.changed(symbol, label == number)]
        for i, (lows, highs, edges, _) in enumerate(found):
            exact = np.logical_or.reduce([outputs[i][0] for outputs in tries])
            clear = np.logical_or.reduce([outputs[i][1] for outputs in tries])
            np.minimum(lows, first, out=lows, where=exact)
            np.maximum(highs, last, out=highs, where=exact)
            at_border = edge or (len(seeing) > 1 and (first == begin or last == end))
            found[i][2] = edges | (exact & bool(at_border))
            loose[i] |= not np.array_equal(exact, clear)
            whole[i] &= bool(exact.all())
    return [
        result(seen, shape, arrays[:3], *flags)
        for shape, arrays, *flags in zip(shapes, found, loose, whole, strict=True)
    ]


def result(seen, shape, arrays, loose, whole):
    """Return what one output sees; in a local answer, one that sees the whole map everywhere sees nothing."""
    part = seen.with_arrays(shape, *arrays, loose=loose, whole=seen.whole or whole).pressed()
    return part.masked(np.zeros([1] * len(shape), bool)) if whole and seen.local else part
