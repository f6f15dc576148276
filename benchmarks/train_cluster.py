"""Train a denoiser on the workers of a Ray cluster; a worker that dies costs the steps since the last checkpoint.

python -m benchmarks.train_cluster FOLDER --workers 2 --steps 60
python -m benchmarks.train_cluster OTHER --workers 2 --steps 60 --kill 35 --compare

FOLDER has to be one that all machines share (NFS and the like). Without --address Ray starts on this
machine and ends with the training. The batch of a step depends on seed and step alone and is cut into as many parts
as there are workers, so neither a restart nor the number of workers changes what is learned.

Ray lets its workers give way to everything else on a machine; where there is much else, RAY_worker_niceness=0 helps.
"""

import argparse
import json
import os
import pathlib
import signal
import tempfile

os.environ["KERAS_BACKEND"] = "torch"
os.environ.setdefault("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", "600")  # a busy machine needs more than a minute

import keras
import numpy as np
import ray
import ray.train
import torch
from ray.train.torch import TorchTrainer, prepare_model

import dlt
from benchmarks._provenance import provenance

HERE = {"KERAS_BACKEND": "torch", "OMP_NUM_THREADS": "1", "RAY_TRAIN_V2_ENABLED": "1"}


def part(data, step, rank, world):
    """Return noisy and clean patches of one worker: its part of the batch of this step."""
    data.epoch, index = divmod(step, len(data))
    size = data.batch_size // world
    return [keras.ops.convert_to_tensor(array[rank * size : (rank + 1) * size]) for array in data[index]]


def restore(model, optimizer):
    """Return the step that comes next, after whatever was saved last."""
    saved = ray.train.get_checkpoint()
    if saved is None:
        return 0
    with saved.as_directory() as folder:
        state = torch.load(pathlib.Path(folder, "state.pt"), weights_only=True, map_location="cpu")
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return state["step"]


def save(model, optimizer, step, loss, rank):
    """Have the first worker write a checkpoint into the shared folder; all of them wait until it counts."""
    with tempfile.TemporaryDirectory() as folder:
        state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
        torch.save(state, pathlib.Path(folder, "state.pt"))
        checkpoint = None if rank else ray.train.Checkpoint.from_directory(folder)
        ray.train.report({"step": step, "loss": loss}, checkpoint=checkpoint)
        # The controller asks for reports every two seconds: one that it has not seen yet dies with its worker.
        ray.train.get_all_reported_checkpoints()


def die(folder):
    """Kill this worker as the kernel would that has run out of memory; once in a training."""
    marker = pathlib.Path(folder, "killed")
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)


def prepare(config):
    """Return the model, its optimizer and the batches of all workers."""
    torch.set_num_threads(1)
    keras.utils.set_random_seed(config["seed"])
    model = dlt.models.create_denoiser(**config["network"])
    optimizer = torch.optim.Adam(model.parameters(), config["rate"], eps=1e-7)
    images = dlt.data.bsd(config["data"])["train"] if config["data"] else list(dlt.data.photos("camera").values())
    return (
        model,
        optimizer,
        dlt.data.NoisyPatches(images, steps=config["epoch"], seed=config["seed"], **config["batch"]),
    )


def error(model, noisy, clean):
    """Return the mean squared error of what a model makes of noisy patches."""
    return torch.mean((model(noisy, training=True) - clean) ** 2)


def work(config):
    """Train on one worker; Ray starts it on all of them, and again when one of them has died."""
    context = ray.train.get_context()
    rank, world = context.get_world_rank(), context.get_world_size()
    model, optimizer, data = prepare(config)
    first = restore(model, optimizer)
    with pathlib.Path(config["folder"], f"starts-{rank}.txt").open("a") as file:
        file.write(f"{first}\n")
    together = prepare_model(model)
    for step in range(first, config["steps"]):
        if step == config["kill"] and rank == world - 1:
            die(config["folder"])
        optimizer.zero_grad()
        loss = error(together, *part(data, step, rank, world))
        loss.backward()
        optimizer.step()
        if (step + 1) % config["epoch"] == 0 or step + 1 == config["steps"]:
            save(model, optimizer, step + 1, float(loss.detach()), rank)


def by_hand(config, world):
    """Train without Ray, in one process, the gradients of all parts averaged by hand; return the weights."""
    model, optimizer, data = prepare(config)
    for step in range(config["steps"]):
        optimizer.zero_grad()
        for rank in range(world):
            (error(model, *part(data, step, rank, world)) / world).backward()  # PyTorch adds gradients up
        optimizer.step()
    return flat(model.state_dict())


def flat(state):
    """Return all weights as one array."""
    return np.concatenate([value.cpu().numpy().ravel() for value in state.values()])


def train(config, workers, restarts=3, address=None):
    """Train on a cluster; write the weights into its folder, and return what there is to know as a dict."""
    folder = pathlib.Path(config["folder"]).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    alone = {} if address else {"num_cpus": workers, "include_dashboard": False, "object_store_memory": 200_000_000}
    ray.init(address or "local", runtime_env={"env_vars": HERE}, **alone)
    try:
        run = ray.train.RunConfig(
            name="run",
            storage_path=str(folder),
            failure_config=ray.train.FailureConfig(max_failures=restarts),
            checkpoint_config=ray.train.CheckpointConfig(num_to_keep=2),
        )
        scaling = ray.train.ScalingConfig(num_workers=workers, use_gpu=torch.cuda.is_available())
        result = TorchTrainer(work, train_loop_config=config, scaling_config=scaling, run_config=run).fit()
    finally:
        ray.shutdown()
    with result.checkpoint.as_directory() as place:
        state = torch.load(pathlib.Path(place, "state.pt"), weights_only=True, map_location="cpu")
    weights = flat(state["model"])
    np.save(folder / "weights.npy", weights)
    return {
        "step": state["step"],
        "loss": result.metrics["loss"],
        "began at steps": [int(line) for line in (folder / "starts-0.txt").read_text().split()],
    }


def main():
    """Train as the command line says; print and write what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path, help="that all workers share: checkpoints and results")
    parser.add_argument("--address", help="of a running cluster, such as auto")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--epoch", type=int, default=10, help="steps between checkpoints")
    parser.add_argument("--batch-size", type=int, default=8, help="of all workers together")
    parser.add_argument("--patch", type=int, default=24, help="side of the patches in pixels")
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--network", type=json.loads, default={}, help="JSON of arguments of create_denoiser")
    parser.add_argument("--data", help="folder or .zip of bias_free_denoising; without it, one photo of the package")
    parser.add_argument("--kill", type=int, help="a step before which the last worker is killed, once")
    parser.add_argument("--compare", action="store_true", help="with the same training by hand, in one process")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if args.batch_size % args.workers:
        parser.error(
            f"Each worker needs as many images. Expected a batch size that {args.workers} workers can share. "
            f"Received: {args.batch_size}. Take {args.batch_size - args.batch_size % args.workers or args.workers}."
        )
    config = {name: getattr(args, name) for name in ("steps", "epoch", "rate", "network", "data", "kill", "seed")}
    config |= {"folder": str(args.folder.absolute()), "batch": {"batch_size": args.batch_size, "size": args.patch}}
    result = {"workers": args.workers, **config, **train(config, args.workers, address=args.address)}
    del result["folder"]
    if args.compare:
        apart = np.abs(by_hand(config, args.workers) - np.load(args.folder / "weights.npy"))
        result["largest difference to by hand"] = float(apart.max())
    command = f"python -m benchmarks.train_cluster FOLDER --workers {args.workers} --steps {args.steps}"
    result["provenance"] = provenance(f"{command}{f' --kill {args.kill}' if args.kill else ''} --compare", args.seed)
    result["provenance"]["versions"]["ray"] = ray.__version__
    (args.folder / "result.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
