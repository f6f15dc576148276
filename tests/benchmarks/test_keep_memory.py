import subprocess
import sys

import pytest

from tests.helpers import ROOT

FAULTS = """
import resource
from benchmarks._memory import keep_memory

{first}
b"x" * 2**26  # 64 MiB, which the system has to give once in any case
size, before = 2**26, resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    b"x" * size
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(first):
    code = FAULTS.format(first=first)
    return int(
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    )


@pytest.mark.skipif(sys.platform != "linux", reason="other C libraries are left alone")
def test_memory_of_arrays_that_are_gone_is_used_again():
    assert 10 * page_faults("keep_memory()") < page_faults("")
