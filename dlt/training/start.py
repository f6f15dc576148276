import importlib.metadata
import logging
import platform

import keras

import dlt
from dlt.training.profile import device_name, profile_name


def start(seed=0):
    """Begin a chapter: make random numbers repeatable, and print what the numbers below will depend on.

    Args:
        seed: Whole number for Python, NumPy and the backend.
    """
    keras.utils.set_random_seed(seed)
    logging.getLogger("tensorflow").addFilter(not_about_retracing)
    backend = keras.backend.backend()
    print(f"dlt {dlt.__version__}, Keras {keras.version()}, {backend} {importlib.metadata.version(backend)}")
    print(f"{device_name()} ({platform.machine()}), profile: {profile_name()}, seed: {seed}")


def not_about_retracing(record):
    """Return False for TensorFlow's warning that functions are traced anew: a chapter builds many models on purpose."""
    return "triggered tf.function retracing" not in record.getMessage()
