"""Doubling a map: values, and what a graph still knows of the shape."""

import keras
import numpy as np
import pytest
from keras import ops

from dlt.layers import HANCLayer, UpsampleLike
from dlt.layers._repeat_pixels import repeat_pixels

on_tensorflow = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="its graphs have open sides")


def test_each_pixel_becomes_four(rng):
    x = rng.normal(size=(2, 3, 4, 5)).astype("float32")
    np.testing.assert_array_equal(ops.convert_to_numpy(repeat_pixels(x)), x.repeat(2, axis=1).repeat(2, axis=2))


@on_tensorflow
def test_channels_are_known_where_sides_are_open():
    import tensorflow as tf

    def of(f, *channels):
        specs = [tf.TensorSpec((None, None, None, count)) for count in channels]
        return tf.function(f).get_concrete_function(*specs).output_shapes.as_list()

    assert of(repeat_pixels, 5) == [None, None, None, 5]
    assert of(lambda *maps: UpsampleLike()(maps), 5, 2) == [None, None, None, 5]
    layer = HANCLayer(6, k=3)
    layer.build((None, None, None, 5))
    assert of(layer, 5) == [None, None, None, 6]
