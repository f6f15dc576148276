import types
from collections.abc import Callable, Iterator
from typing import Any

import keras


class Watched(keras.utils.PyDataset):
    """The same batches as another `PyDataset`, each of which is looked at before it is given away."""

    def __init__(self, batches: keras.utils.PyDataset, look: Callable) -> None:
        super().__init__(batches.workers, max_queue_size=batches.max_queue_size)
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
    """Looks at the images of every batch that a `PyDataset` or a generator gives, and keeps the error that it raises.

    TensorFlow runs both inside a graph, and makes an error of its own of what they raise.
    """

    def __init__(self, check: Callable) -> None:
        self._check = check
        self.refusal: ValueError | None = None

    def over(self, data: Any) -> Any:
        """Return the same data under watch; what is neither a `PyDataset` nor a generator, as it is.

        So is a `PyDataset` whose batches are made in processes of their own: those would need a copy of the model.
        """
        if isinstance(data, keras.utils.PyDataset) and not data.use_multiprocessing:
            return Watched(data, self._look)
        if isinstance(data, types.GeneratorType):
            return self._each(data)
        return data

    def _each(self, batches: Iterator) -> Iterator:
        for batch in batches:
            self._look(batch)
            yield batch

    def _look(self, batch):
        try:
            self._check(batch[0] if isinstance(batch, (tuple, list)) else batch)
        except ValueError as error:
            self.refusal = error
            raise
