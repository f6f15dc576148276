"""PyTorch, several processes: DistributedDataParallel around a Keras model.

torchrun --nproc-per-node 2 torch_workers.py layer_norm batch_norm drop_path
"""

import os
import sys

os.environ["KERAS_BACKEND"] = "torch"

import keras
import torch
from torch import distributed
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

import task

distributed.init_process_group("gloo")  # "nccl" between GPUs
rank, world = distributed.get_rank(), distributed.get_world_size()
for case in sys.argv[1:]:
    keras.utils.set_random_seed(0)
    model, diary = task.network(case), task.Diary()
    together = DistributedDataParallel(model)
    optimizer = torch.optim.Adam(model.parameters(), task.RATE, eps=1e-7)
    for number in range(task.STEPS):
        x, y = map(torch.tensor, task.share(number, rank, world))
        optimizer.zero_grad()
        loss = cross_entropy(together(x, training=True), y)
        loss.backward()  # averages the gradients over all processes
        optimizer.step()
        mean = loss.detach() / world
        distributed.all_reduce(mean)
        diary.write(mean)
    diary.keep(f"torch_workers-{case}-{world}-{rank}", model)
distributed.destroy_process_group()
