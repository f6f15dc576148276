"""timm without torchvision: its networks need none, but its imports do, and torchvision fits few builds of PyTorch."""

import contextlib
import importlib
import importlib.abc
import importlib.machinery
import sys
import types


class Anything(type):
    """A class whose attributes exist, whatever they are called."""

    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return f"{cls.__name__}.{name}"


class Empty(types.ModuleType):
    """A module whose names are classes that do nothing."""

    __path__ = []

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Anything(name, (), {})


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds an empty module for `torchvision` and everything in it."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torchvision":
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        return Empty(spec.name)

    def exec_module(self, module):
        pass


@contextlib.contextmanager
def no_torchvision():
    """Let `import torchvision` find nothing but names, and forget them afterwards."""
    hidden = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "torchvision"}
    finder = Finder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        sys.modules.update(hidden)


def import_timm():
    """Return timm, imported without torchvision."""
    with no_torchvision():
        return importlib.import_module("timm")
