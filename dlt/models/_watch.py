import copy
import functools
import multiprocessing
import queue
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import keras


class Look:
    """Looks at batches in whatever thread or process, and keeps what the check of their images raises.

    TensorFlow makes an error of its own of what is raised in its pipelines.
    """

    def __init__(self, check: Callable, processes: bool) -> None:
        self._check = check
        self._refusals: Any = multiprocessing.SimpleQueue() if processes else queue.SimpleQueue()

    def __call__(self, batch: Any) -> None:
        try:
            self._check(batch[0] if isinstance(batch, (tuple, list)) else batch)
        except ValueError as error:
            self._refusals.put(error)
            raise

    def refusals(self) -> Iterator[ValueError]:
        """Yield what was raised, once."""
        while not self._refusals.empty():
            yield self._refusals.get()


class Watched(keras.utils.PyDataset):
    """The same batches as another `PyDataset`, each of which is looked at before it is given away."""

    def __init__(self, batches: keras.utils.PyDataset, look: Look) -> None:
        super().__init__(batches.workers, batches.use_multiprocessing, batches.max_queue_size)
        self._batches, self._look = batches, look
        self.on_epoch_begin, self.on_epoch_end = batches.on_epoch_begin, batches.on_epoch_end

    def __getitem__(self, index: int) -> Any:
        """Return a batch."""
        batch = self._batches[index]
        self._look(batch)
        return batch

    @property
    def num_batches(self) -> int | None:
        """Return how many batches there are; None if they never end."""
        return self._batches.num_batches


class Watch:
    """Looks at the images of every batch whose sides are not known before it comes.

    Args:
        check: Raises ValueError if what goes in is no image for the network. It is sent to the processes of a
            `PyDataset` that has some, so it must not hold the network.
    """

    def __init__(self, check: Callable) -> None:
        self._check = check
        self._looks: list[Look] = []

    def over(self, data: Any) -> Any:
        """Return the same data under watch; arrays as they are."""
        if isinstance(data, keras.utils.PyDataset):
            return Watched(data, self._look(data.use_multiprocessing))
        if isinstance(data, types.GeneratorType):
            return each(data, self._look())
        if hasattr(data, "element_spec") and hasattr(data, "map"):
            return in_pipeline(data, self._look())
        made_by = {parent.__module__.split(".")[0] for parent in type(data).__mro__}
        if "torch" in made_by and not hasattr(data, "shape"):
            return loaded(data, self._look())
        if "grain" in made_by and isinstance(data, getattr(sys.modules["grain"], "DataLoader", ())):
            data = as_data_set(data)  # of the loader itself, Keras would take the parts for one of its own
        if "grain" in made_by and hasattr(data, "map"):
            return data.map(functools.partial(passed, self._look()))
        return data

    def refusal(self, error: Exception) -> ValueError | None:
        """Return what the check has raised if another error tells of it in more words."""
        raised = [refusal for look in self._looks for refusal in look.refusals()]
        return next((refusal for refusal in raised if str(refusal) != str(error) and str(refusal) in str(error)), None)

    def _look(self, processes=False):
        self._looks.append(Look(self._check, processes))
        return self._looks[-1]


def loaded(loader: Any, look: Look) -> Any:
    """Return a copy of a DataLoader of PyTorch that looks at each batch; Keras knows it by its class."""
    kind = type(loader)
    watched = copy.copy(loader)
    watched.__class__ = type(kind.__name__, (kind,), {"__iter__": lambda _: each(iter(loader), look)})
    return watched


def as_data_set(loader: Any) -> Any:
    """Return a data set of Grain with the batches of its DataLoader, which has no `map`."""
    grain: Any = sys.modules["grain"]  # whoever has such a loader has imported it; this package does not

    class Batches(grain.DatasetIterator):
        """What a DataLoader gives, by the protocol of data sets."""

        def __init__(self):
            super().__init__()
            self._batches = iter(loader)

        def __next__(self):
            return next(self._batches)

        def get_state(self):
            """Return how far it is."""
            return self._batches.get_state()

        def set_state(self, state):
            """Go on from there."""
            self._batches.set_state(state)

    return type("Loaded", (grain.IterDataset,), {"__iter__": lambda _: Batches()})()


def passed(look: Look, batch: Any) -> Any:
    """Return a batch after a look at it."""
    look(batch)
    return batch


def each(batches: Iterator, look: Look) -> Iterator:
    """Yield batches after a look at each."""
    for batch in batches:
        look(batch)
        yield batch


def in_pipeline(dataset: Any, look: Look) -> Any:
    """Return a tf.data.Dataset that looks at the shapes of its images, if it does not say them beforehand."""
    shape = shape_of(dataset)
    if shape is not None and None not in shape[1:]:
        return dataset
    tf = sys.modules["tensorflow"]  # whoever has such a dataset has imported it; this package does not

    def look_at_shape(shape):
        look(types.SimpleNamespace(shape=tuple(shape.tolist())))
        return True

    def step(*batch):
        images = keras.tree.flatten(batch[0])
        seen = [tf.numpy_function(look_at_shape, [tf.shape(images[0])], tf.bool)] if len(images) == 1 else []
        with tf.control_dependencies(seen):
            batch = keras.tree.map_structure(tf.identity, batch)
        return batch if len(batch) > 1 else batch[0]

    return dataset.map(step)


def shape_of(x: Any) -> tuple | None:
    """Return the shape of a batch, or of those that a tf.data.Dataset gives; None where it cannot be told."""
    if hasattr(x, "element_spec"):  # of a tf.data.Dataset: images, or a tuple of images, targets and weights
        x = x.element_spec[0] if isinstance(x.element_spec, tuple) else x.element_spec
    leaves = [x] if hasattr(x, "shape") else keras.tree.flatten(x)
    shape = getattr(leaves[0], "shape", None) if len(leaves) == 1 else None
    return None if shape is None or getattr(shape, "rank", 0) is None else tuple(shape)
