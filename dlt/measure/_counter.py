"""How many multiply-adds a run costs: every product of keras.ops is heard while Keras traces it, nothing is computed.

All that multiplies and sums, the call of a convolution or an `ops.einsum`, ends in one of a few functions of Keras's
backend. While a `Counter` listens, these note the shapes they get and give. Of a loop's body the first step is noted,
times the number of steps; of branches, the most expensive one.
"""

import contextlib
import functools
import importlib
import inspect
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import keras

from dlt.measure._products import BRANCHES, FUSED, LOOPS, PRODUCTS, of_matmul


def bound(function: Callable, args: tuple, kwargs: dict) -> dict:
    """Return the arguments of a call by their names."""
    return inspect.signature(function).bind(*args, **kwargs).arguments


def refuse(*_, **__):
    """Say that a whole recurrent layer cannot be computed at once; Keras then takes the steps."""
    raise NotImplementedError


@contextlib.contextmanager
def replaced(backend: Any, module: str, name: str, wrap: Callable) -> Iterator[None]:
    """While open, a function of the backend is wrapped, under both names that Keras calls it by."""
    holders = [holder for holder in (backend, getattr(backend, module)) if name in vars(holder)]
    originals = [vars(holder)[name] for holder in holders]
    for holder, original in zip(holders, originals, strict=True):
        setattr(holder, name, wrap(original))
    try:
        yield
    finally:
        for holder, original in zip(holders, originals, strict=True):
            setattr(holder, name, original)


class Counter:
    """Counts the products of all that runs inside `with counter.listening()`.

    Attributes:
        counts: Dict, path -> multiply-adds, of the innermost part that ran.
        uncounted: Dict, path -> None, of the parts with products that cannot be counted.
        heard: Set of the paths of parts that asked for a product.
        ran: Dict, path -> None, of the parts that ran.
    """

    def __init__(self) -> None:
        self.path, self.factor, self.active = "", 1, True
        self.clear()

    def clear(self) -> None:
        """Forget what was counted so far."""
        self.counts, self.uncounted, self.heard, self.ran = {}, {}, set(), {}

    @contextlib.contextmanager
    def state(self, **values: Any) -> Iterator[None]:
        """While open, `path`, `factor`, `active` or what was counted are others."""
        before = {name: vars(self)[name] for name in values}
        vars(self).update(values)
        try:
            yield
        finally:
            vars(self).update(before)

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """While open, the backend's functions report here."""
        backend = importlib.import_module("keras.src.backend")
        with contextlib.ExitStack() as stack:
            for module, rules in PRODUCTS.items():
                for name, rule in rules.items():
                    stack.enter_context(replaced(backend, module, name, functools.partial(self.product, rule)))
            for name, (body, steps) in LOOPS.items():
                stack.enter_context(replaced(backend, "core", name, functools.partial(self.loop, body, steps)))
            for name, branches in BRANCHES.items():
                stack.enter_context(replaced(backend, "core", name, functools.partial(self.branch, branches)))
            for name in FUSED:
                stack.enter_context(replaced(backend, "core", name, lambda _original: refuse))
            yield

    @contextlib.contextmanager
    def operators(self, nest: Any) -> Iterator[None]:
        """Begin anew; while open, `x @ y` of tensors like those of a nest reports here: it goes past keras.ops."""
        self.clear()
        with contextlib.ExitStack() as stack:
            kinds = {type(x) for x in keras.tree.flatten(nest)}
            for kind, name in itertools.product(kinds, ("__matmul__", "__rmatmul__")):  # `array @ x` is the second
                if not hasattr(kind, name):
                    continue
                own, original = vars(kind).get(name), getattr(kind, name)

                def heard(x1, x2, original=original, swapped=name == "__rmatmul__"):
                    with self.state(active=False):
                        outputs = original(x1, x2)
                    if outputs is not NotImplemented:
                        self.note(of_matmul(outputs, *((x2, x1) if swapped else (x1, x2))))
                    return outputs

                setattr(kind, name, heard)
                stack.callback(*((setattr, kind, name, own) if own else (delattr, kind, name)))
            yield

    def under(self, path: str, original: Callable) -> Callable:
        """Return the `call` of a layer or operation, whose products are counted under its path."""

        @functools.wraps(original)
        def call(*args, **kwargs):
            self.ran[path] = None
            with self.state(path=path):
                return original(*args, **kwargs)

        return call

    def unheard(self, original: Callable) -> Callable:
        """Return a function that does as before, and nothing of it is counted."""

        @functools.wraps(original)
        def call(*args, **kwargs):
            with self.state(active=False):
                return original(*args, **kwargs)

        return call

    def note(self, count: int | None) -> None:
        """Add multiply-adds, or that there are some which are not known."""
        if not self.active:
            return
        self.heard.add(self.path)
        if count is None or self.factor is None:
            self.uncounted[self.path] = None
        elif count:
            self.counts[self.path] = self.counts.get(self.path, 0) + count * self.factor

    def product(self, rule: Callable, original: Callable) -> Callable:
        """Return a function of the backend that notes what it multiplies."""

        @functools.wraps(original)
        def heard(*args, **kwargs):
            with self.state(active=False):
                outputs = original(*args, **kwargs)
            if self.active:
                self.note(rule(outputs, **bound(original, args, kwargs)))
            return outputs

        return heard

    def loop(self, body: str, steps: Callable, original: Callable) -> Callable:
        """Return a loop of the backend whose body is counted once, times its number of steps."""

        @functools.wraps(original)
        def heard(*args, **kwargs):
            if not self.active:
                return original(*args, **kwargs)
            arguments, started = bound(original, args, kwargs), []
            count, function = steps(**arguments), arguments[body]
            factor = None if count is None or self.factor is None else self.factor * count

            def once(*args, **kwargs):
                with self.state(active=not started, factor=factor):
                    started.append(True)
                    return function(*args, **kwargs)

            with self.state(active=False):
                return original(**arguments | {body: once})

        return heard

    def branch(self, names: tuple, original: Callable) -> Callable:
        """Return a choice of the backend of which the most expensive branch is counted."""

        @functools.wraps(original)
        def heard(*args, **kwargs):
            if self.active:
                arguments = bound(original, args, kwargs)
                functions = keras.tree.flatten([arguments[name] for name in names])
                self.dearest(functions, arguments.get("operands", ()))
            with self.state(active=False):
                return original(*args, **kwargs)

        return heard

    def dearest(self, functions: list, operands: tuple) -> None:
        """Run all of some functions, and keep what the most expensive one counts."""
        found = []
        for function in functions:
            with self.state(counts={}, uncounted={}):
                function(*operands)
                found.append((self.counts, self.uncounted))
        counts, _ = max(found, key=lambda pair: sum(pair[0].values()))
        for path, count in counts.items():
            self.counts[path] = self.counts.get(path, 0) + count
        for _, uncounted in found:
            self.uncounted.update(uncounted)
