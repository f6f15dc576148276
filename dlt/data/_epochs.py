from typing import Any

import keras
import numpy as np

from dlt._check import check_index, check_positive_int

LOOKED_AT = 2  # batches that Keras draws with TensorFlow to learn their shapes, before it begins an epoch


class RandomBatches(keras.utils.PyDataset):
    """Batches of random numbers of their own: those of a batch depend on the seed, the epoch and its index alone.

    Keras tells a data set when an epoch ends, but also of ends that are none: `fit` begins with one, and may have
    looked at some batches before. So an end counts only if the epoch was drawn to its last batch, here or (if nothing
    was drawn here) in other processes. The very first one counts always: a training begins with epoch 1, whatever the
    backend, and a second `fit` goes on where the first stopped.
    """

    def __init__(self, steps: int, seed: int, epoch: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.steps, self.seed = check_positive_int("steps", steps), check_index("seed", seed)
        self.epoch = check_index("epoch", epoch)
        self.untouched, self.began = True, False
        self.furthest: int | None = None

    def __len__(self) -> int:
        return self.steps

    def random(self, index: int) -> np.random.Generator:
        """Return the random numbers of a batch."""
        self.furthest = index if self.furthest is None else max(index, self.furthest)
        return np.random.default_rng((self.seed, self.epoch, index))

    def on_epoch_begin(self) -> None:
        """Take note that an end will follow."""
        self.began = True

    def on_epoch_end(self) -> None:
        """Move on to new random numbers."""
        to_the_last = self.furthest == self.steps - 1 and (self.began or self.steps > LOOKED_AT)
        elsewhere = self.furthest is None and self.began
        if to_the_last or elsewhere or self.untouched:
            self.epoch += 1
        self.untouched, self.began, self.furthest = False, False, None
