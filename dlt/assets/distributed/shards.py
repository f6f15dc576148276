"""Input that scales: many files, of which each worker opens its own, and no
two workers see the same image in an epoch.
"""

import pathlib

import numpy as np
import tensorflow as tf


def write(folder, images, count):
    """Write uint8 images of one shape into `count` files.

    A record is the number of an image, in eight bytes, and its pixels.
    """
    for number in range(count):
        path = str(pathlib.Path(folder, f"{number:04d}.tfrecord"))
        with tf.io.TFRecordWriter(path) as file:
            for index in range(number, len(images), count):
                file.write(np.int64(index).tobytes() + images[index].tobytes())


def read(record):
    """Return the number and the pixels of an image."""
    number = tf.io.decode_raw(tf.strings.substr(record, 0, 8), tf.int64)
    pixels = tf.io.decode_raw(tf.strings.substr(record, 8, -1), tf.uint8)
    return number[0], pixels


def dataset(folder, rank, world, batch, order):
    """Return one epoch of one worker, in batches that are all full.

    Args:
        folder: Path of the files.
        rank: Whole number of this worker, from 0.
        world: Whole number of workers.
        batch: Whole number of images.
        order: Whole number that the order of files and images follows from,
            another one in each epoch and the same for each worker. None
            leaves it to chance, so that they do not agree who reads what.
    """
    names = str(pathlib.Path(folder, "*.tfrecord"))
    files = tf.data.Dataset.list_files(names, shuffle=False)
    mine = files.shuffle(10_000, seed=order).shard(world, rank)
    images = mine.interleave(tf.data.TFRecordDataset, cycle_length=4).map(read)
    return images.shuffle(1_000, seed=order).batch(batch, drop_remainder=True)
