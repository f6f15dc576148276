"""How large this process has been."""

import pathlib
import re
import resource

STATUS = pathlib.Path("/proc/self/status")


def peak_mib():
    """Return the largest resident size of this process so far, in MiB.

    On Linux it is `VmHWM`. `ru_maxrss` starts there with what the process that started this one had reached: a small
    child of a large parent would seem not to grow at all. Elsewhere it is `ru_maxrss`.
    """
    if STATUS.exists():
        return int(re.search(r"VmHWM:\s+(\d+)", STATUS.read_text())[1]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
