"""Write tests/goldens/contracts.npz, the outputs every backend has to give: `python -m tests.make_goldens`."""

import numpy as np

from tests.cases import CASES
from tests.helpers import GOLDENS, randomise
from tests.test_contracts import batch, model_of

if __name__ == "__main__":
    outputs = {case.name: randomise(model_of(case)).predict(batch(case), verbose=0) for case in CASES}
    np.savez_compressed(GOLDENS / "contracts.npz", **outputs)
