import importlib.metadata
import logging
import platform

import keras

import dlt
from dlt._precision import use_full_float32
from dlt.training.profile import device_name, profile_name


def start(seed: int = 0) -> None:
    """Begin a chapter: make random numbers repeatable, and print what the numbers below will depend on.

    A GPU multiplies float32 numbers whole from here on: by default it may round them to 10 binary digits, in which many
    an equality of the chapters would drown.

    Args:
        seed: Whole number for Python, NumPy and the backend.
    """
    keras.utils.set_random_seed(seed)
    use_full_float32()
    logging.getLogger("tensorflow").addFilter(not_about_retracing)
    backend = keras.backend.backend()
    print(f"dlt {dlt.__version__}, Keras {keras.version()}, {backend} {importlib.metadata.version(backend)}")
    device = device_name().rpartition("device:")[2]  # TensorFlow names the job and the task, too
    print(f"{device} ({platform.machine()}), profile: {profile_name()}, seed: {seed}")


def not_about_retracing(record: logging.LogRecord) -> bool:
    """Return False for TensorFlow's warning that functions are traced anew: a chapter builds many models on purpose."""
    return "triggered tf.function retracing" not in record.getMessage()
