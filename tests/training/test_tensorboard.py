"""Keras's TensorBoard callback finds in `make`'s environment what it needs."""

import keras
import numpy as np
import pytest


def test_a_training_is_written_down(tmp_path):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("Keras writes TensorBoard's files with TensorFlow")
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", jit_compile=False)
    board = keras.callbacks.TensorBoard(log_dir=str(tmp_path))
    model.fit(np.ones((4, 2)), np.ones((4, 1)), validation_split=0.5, epochs=2, verbose=0, callbacks=[board])
    assert {path.parent.name for path in tmp_path.rglob("events.out.tfevents.*")} == {"train", "validation"}
