"""TensorFlow, several devices in one process: MirroredStrategy.

python tf_mirrored.py layer_norm batch_norm drop_path

Without GPUs it cuts the processor into two devices.
"""

import os
import sys

os.environ["KERAS_BACKEND"] = "tensorflow"

import tensorflow as tf

if not tf.config.list_physical_devices("GPU"):
    (processor,) = tf.config.list_physical_devices("CPU")
    halves = 2 * [tf.config.LogicalDeviceConfiguration()]
    tf.config.set_logical_device_configuration(processor, halves)

import task

kind = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
devices = [device.name for device in tf.config.list_logical_devices(kind)]
mirrored = tf.distribute.MirroredStrategy(devices)
for case in sys.argv[1:]:
    task.fit(case, f"tf_one-{case}")
    with mirrored.scope():
        task.fit(case, f"tf_mirrored-{case}")
