"""JAX, several processes, on one machine or on several; this starts one.

python jax_workers.py RANK ADDRESS,ADDRESS layer_norm batch_norm drop_path

RANK counts from 0; ADDRESS is a host and a free port, one for each process,
the same list for all.
"""

import os
import sys

os.environ["KERAS_BACKEND"] = "jax"

from keras import distribution

rank, addresses, cases = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
world = len(addresses.split(","))
distribution.initialize(addresses, world, rank)  # before JAX finds devices

import task

everywhere = distribution.DataParallel(
    devices=distribution.list_devices(),  # of all processes
    auto_shard_dataset=False,  # each process brings its own part of the batch
)
distribution.set_distribution(everywhere)
for case in cases:
    task.fit(case, f"jax_workers-{case}-{rank}", rank, world)
