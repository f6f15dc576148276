"""Start trainings on this machine: bounded in time, and gone at the end."""

import atexit
import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).parent
HASTY = (  # a compiler need not polish what runs six times
    "--xla_backend_optimization_level=0",
    "--xla_cpu_multi_thread_eigen=false",
)
ALONE = {  # no GPUs, and one thread for each process
    "CUDA_VISIBLE_DEVICES": "-1",
    "JAX_PLATFORMS": "cpu",
    "XLA_FLAGS": " ".join(HASTY),
    "OMP_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "2",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}


def free_addresses(count):
    """Return addresses of this machine that are free, between commas."""
    with contextlib.ExitStack() as stack:
        sockets = [socket.socket() for _ in range(count)]
        for one in map(stack.enter_context, sockets):
            one.bind(("127.0.0.1", 0))
        ports = [one.getsockname()[1] for one in sockets]
    return ",".join(f"127.0.0.1:{port}" for port in ports)


class Job:
    """Processes that belong together: if one fails, all are ended.

    Each is in a group of its own, with whatever it starts.

    Args:
        commands: List of lists of strings, one for each process.
        folder: Path of the folder that they write into.
        seconds: Whole number, how long they may take.
        **environment: Strings, variables of theirs.
    """

    def __init__(self, commands, folder, seconds=540, **environment):
        self.end, self.processes = time.monotonic() + seconds, []
        atexit.register(self.kill)
        given = {"SECONDS": str(seconds), **ALONE, **environment}
        for number, command in enumerate(commands):
            path = pathlib.Path(folder, f"{id(self)}-{number}.log")
            with path.open("w") as log:
                process = subprocess.Popen(
                    command,
                    cwd=folder,
                    env={**os.environ, **given},
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            process.log = path
            self.processes.append(process)

    def wait(self):
        """Return what each process has printed.

        Raises:
            RuntimeError: With the last lines of a process, if one has failed
                or time is up.
        """
        while any(process.poll() is None for process in self.processes):
            if self.failed() or time.monotonic() > self.end:
                break
            time.sleep(0.1)
        done = all(process.poll() == 0 for process in self.processes)
        culprit = (self.failed() or self.processes)[0]
        why = "A process failed" if self.failed() else "Time is up"
        self.kill()
        if not done:
            last = culprit.log.read_text()[-3000:]
            raise RuntimeError(f"{why}. Its last lines:\n{last}")
        return [process.log.read_text() for process in self.processes]

    def failed(self):
        """Return the processes that have ended with an error."""
        return [process for process in self.processes if process.poll()]

    def kill(self):
        """End all processes, and whatever they have started.

        They are asked first, since `torchrun` has its workers in sessions of
        their own and ends them when it is asked to end.
        """
        atexit.unregister(self.kill)
        self.send(signal.SIGTERM)
        patience = time.monotonic() + 10
        for process in self.processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0, patience - time.monotonic()))
        self.send(signal.SIGKILL)
        for process in self.processes:
            process.wait()

    def send(self, number):
        """Send a signal to the group of each process."""
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)


def alone(script, *words, python=sys.executable):
    """Return the command of a script that is one process."""
    return [[python, str(HERE / script), *words]]


def workers(count, script, *words, python=sys.executable):
    """Return the commands of a script that takes its rank and addresses."""
    start = [python, str(HERE / script)]
    addresses = free_addresses(count)
    return [[*start, str(rank), addresses, *words] for rank in range(count)]


def torchrun(count, script, *words, python=sys.executable):
    """Return the command that has PyTorch start a script several times."""
    address, _, port = free_addresses(1).partition(":")
    options = ["--nproc-per-node", str(count)]
    options += ["--master-addr", address, "--master-port", port]
    start = [python, "-m", "torch.distributed.run", *options]
    return [[*start, str(HERE / script), *words]]
