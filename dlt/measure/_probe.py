"""What an operation that nobody knows does to "which input pixels does this element see?", found by trying."""

import dataclasses

import keras
import numpy as np
from keras import ops

from dlt.measure._seen import join, look_up, reduce, taps_of


def probe(operation, args, kwargs, known):
    """Return what the outputs of an operation see, each for height and for width.

    Args:
        operation: A layer or operation that runs on numbers.
        args: Its arguments, with symbolic tensors for tensors.
        kwargs: Its named arguments, likewise.
        known: Dict, id of a symbolic tensor -> what it sees, for height and for width.
    """
    parts = []  # per input, for height and for width: what each output sees
    for symbol in keras.tree.flatten((args, kwargs)):
        if id(symbol) in known:
            parts.append([through(operation, args, kwargs, symbol, seen) for seen in known[id(symbol)]])
    count = len(parts[0][0])
    return [[join([part[axis][i] for part in parts], parts[0][axis][i].shape) for axis in (0, 1)] for i in range(count)]


def through(operation, args, kwargs, symbol, seen):
    """Return what each output sees of one input, along one axis of the image."""
    position = int(np.argmax(seen.first.shape))  # the axis of the input along which positions differ
    seen = reduce(seen, [axis for axis in range(len(seen.shape)) if axis != position])
    results = []
    for used, shape in dependence(operation, args, kwargs, symbol, position):
        part = look_up(seen, position, taps_of(used))
        if len(shape) != len(seen.shape):
            everything = (1,) * len(shape)
            part = reduce(part, range(len(seen.shape))).along(lambda values, to=everything: values.reshape(to), shape)
        whole = part.whole or (used.size > 1 and bool(used.all()))
        results.append(dataclasses.replace(part, shape=shape, whole=whole))
    return results


def dependence(operation, args, kwargs, symbol, axis, draws=2):
    """Return, for each output, which positions (rows) move when a position of `symbol` (columns) changes; its shape.

    Positions lie along `axis` of the input and of the output; an output of another rank is a single position.
    """
    rng, matrices = np.random.default_rng(0), None
    for _ in range(draws):
        numbers = {id(x): rng.normal(size=x.shape) for x in symbols_in((args, kwargs))}
        before = run(operation, args, kwargs, numbers)
        sizes = [y.shape[axis] if y.ndim == len(symbol.shape) else 1 for y in before]
        matrices = matrices or [np.zeros((n, symbol.shape[axis]), bool) for n in sizes]
        for i in range(symbol.shape[axis]):
            changed = numbers[id(symbol)].copy()
            at = (slice(None),) * axis + (i,)
            changed[at] = rng.normal(size=changed[at].shape)
            after = run(operation, args, kwargs, {**numbers, id(symbol): changed})
            for matrix, old, new in zip(matrices, before, after, strict=True):
                moved = np.abs(new - old) > 1e-6 * np.abs(old).max()
                others = tuple(j for j in range(moved.ndim) if j != axis or len(matrix) == 1)
                matrix[:, i] |= moved.any(axis=others)
    return [(matrix, y.shape) for matrix, y in zip(matrices, before, strict=True)]


def run(operation, args, kwargs, numbers):
    """Return an operation's outputs as arrays, with numbers in place of symbols."""
    args, kwargs = keras.tree.map_structure(
        lambda x: ops.convert_to_tensor(numbers[id(x)], dtype=x.dtype) if id(x) in numbers else x, (args, kwargs)
    )
    return [ops.convert_to_numpy(y).astype("float64") for y in keras.tree.flatten(operation(*args, **kwargs))]


def symbols_in(structure):
    """Return the symbolic tensors in a nested structure."""
    return [x for x in keras.tree.flatten(structure) if isinstance(x, keras.KerasTensor)]
