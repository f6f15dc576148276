"""JAX, several devices in one process: each has a part of the batch, or a part
of the wide layers.

python jax_devices.py layer_norm batch_norm drop_path

Without GPUs, XLA's flag makes it play two devices on one processor.
"""

import os
import sys

two = "--xla_force_host_platform_device_count=2"
os.environ["XLA_FLAGS"] = f"{two} {os.environ.get('XLA_FLAGS', '')}"
os.environ["KERAS_BACKEND"] = "jax"

from keras import distribution

import task

LAYOUT = {  # the 4C channels of a block are cut, the C around them are not
    ".*expand/kernel": (None, "model"),
    ".*expand/bias": ("model",),
    ".*grn/(gamma|beta)": ("model",),
    ".*project/kernel": ("model", None),
}

devices = distribution.list_devices()
mesh = distribution.DeviceMesh((1, len(devices)), ["batch", "model"], devices)
layout = distribution.LayoutMap(mesh)
for path, axes in LAYOUT.items():
    layout[path] = axes
ways = {
    "one": None,
    "data": distribution.DataParallel(devices=devices),
    "model": distribution.ModelParallel(
        layout_map=layout, batch_dim_name="batch"
    ),
}
for case in sys.argv[1:]:
    for name, way in ways.items():
        distribution.set_distribution(way)
        model = task.fit(case, f"jax_{name}-{case}")
    for weight in model.trainable_variables:
        part = weight.value.addressable_shards[0].data
        print(f"{weight.path}: {weight.shape} -> {part.shape}")
