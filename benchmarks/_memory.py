"""How large this process has been, and what it keeps."""

import ctypes
import pathlib
import re
import resource
import sys

STATUS = pathlib.Path("/proc/self/status")


def peak_mib():
    """Return the largest resident size of this process so far, in MiB.

    On Linux it is `VmHWM`. `ru_maxrss` starts there with what the process that started this one had reached: a small
    child of a large parent would seem not to grow at all. Elsewhere it is `ru_maxrss`.
    """
    if STATUS.exists():
        return int(re.search(r"VmHWM:\s+(\d+)", STATUS.read_text())[1]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def keep_memory():
    """Let glibc keep the memory of arrays that are gone, for the next ones; other C libraries are left alone.

    PyTorch on a CPU asks for memory and gives it back at every operation, and glibc passes large pieces through to the
    system, which clears each page again. A training step of the network of `benchmarks/ablation.py` took 142 ms of CPU
    with 20,000 page faults, and takes 109 ms with 700. TensorFlow keeps its memory by itself: 81 ms a step either way.
    """
    allocator = ctypes.CDLL(None) if sys.platform == "linux" else None
    if hasattr(allocator, "mallopt"):
        for option, size in ((-3, 10**9), (-1, 2**31 - 1)):  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD
            allocator.mallopt(option, size)
