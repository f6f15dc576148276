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

on_gpu = torch.cuda.is_available()
if on_gpu:  # one for each process
    torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
distributed.init_process_group("nccl" if on_gpu else "gloo")
rank, world = distributed.get_rank(), distributed.get_world_size()
for case in sys.argv[1:]:
    keras.utils.set_random_seed(0)
    model, diary = task.network(case), task.Diary()
    together = DistributedDataParallel(model)
    optimizer = torch.optim.SGD(model.parameters(), task.RATE)
    for number in range(task.STEPS):
        part = task.share(number, rank, world)
        x, y = map(keras.ops.convert_to_tensor, part)  # on Keras's device
        optimizer.zero_grad()
        loss = cross_entropy(together(x, training=True), y)
        loss.backward()  # averages the gradients over all processes
        optimizer.step()
        mean = loss.detach() / world
        distributed.all_reduce(mean)
        diary.write(mean)
    diary.keep(f"torch_workers-{case}-{world}-{rank}", model)
distributed.destroy_process_group()
