"""What the trainings on CIFAR-10 share."""

import keras
import numpy as np


def standardiser(images):
    """Return the function that makes the mean of these images 0 and their deviation 1, colour by colour."""
    mean, deviation = images.mean((0, 1, 2)), images.std((0, 1, 2))
    return lambda pixels: ((pixels - mean) / deviation).astype("float32")


class Batches(keras.utils.PyDataset):
    """Training batches, each image shifted by up to 4 pixels and mirrored half of the time, then `prepare`d."""

    def __init__(self, images, labels, prepare, batch_size, seed, shift_and_mirror=True, **kwargs):
        super().__init__(**kwargs)
        self.images = np.pad(images, ((0, 0), (4, 4), (4, 4), (0, 0)), "reflect")
        self.labels, self.prepare, self.batch_size = labels, prepare, batch_size
        self.shift_and_mirror = shift_and_mirror
        self.rng = np.random.default_rng(seed)
        self.on_epoch_end()

    def __len__(self):
        return len(self.images) // self.batch_size

    def __getitem__(self, index):
        chosen = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        rows, columns = (self.rng.integers(9, size=(len(chosen), 1, 1)) + np.arange(32) for _ in "hw")
        mirrored = self.rng.random((len(chosen), 1, 1)) < 0.5
        columns = np.where(mirrored, columns[..., ::-1], columns)
        if not self.shift_and_mirror:  # drawn all the same, so that the order of the images stays what it is
            rows = columns = np.broadcast_to(4 + np.arange(32), rows.shape)
        images = self.images[chosen[:, None, None], rows.transpose(0, 2, 1), columns]
        return self.prepare(images), self.labels[chosen]

    def on_epoch_end(self):
        """Draw a new order."""
        self.order = self.rng.permutation(len(self.images))


class Augmented(Batches):
    """Batches that go through one of several chains of Keras's augmentation layers, in turn, and are `prepare`d last.

    Outside of a model, Keras runs these layers step by step; here each chain is a model, and compiled.
    """

    def __init__(self, images, labels, prepare, *args, chains, **kwargs):
        super().__init__(images, labels, lambda pixels: pixels.astype("float32"), *args, **kwargs)
        self.finish, self.chains = prepare, [Chain(layers) for layers in chains]

    def __getitem__(self, index):
        images, labels = super().__getitem__(index)
        batch = self.chains[index % len(self.chains)].predict_on_batch({"images": images, "labels": labels})
        return self.finish(batch["images"]), batch["labels"]


class Chain(keras.Model):
    """Augmentation layers, one after the other, each told that this is training."""

    def __init__(self, chain):
        super().__init__()
        self.chain = list(chain)

    def call(self, batch):
        for layer in self.chain:
            batch = layer(batch, training=True)
        return batch
