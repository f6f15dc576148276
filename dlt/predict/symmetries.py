import itertools
from collections.abc import Iterator

import numpy as np


def symmetries(ensemble: bool) -> Iterator[tuple]:
    """Yield flips and turns of an image, all eight or the one that changes nothing, each with what undoes it."""
    for turns, step in itertools.product(range(4), (1, -1)) if ensemble else [(0, 1)]:
        yield (
            lambda image, turns=turns, step=step: np.rot90(image[:, ::step], turns),
            lambda image, turns=turns, step=step: np.rot90(image, -turns)[:, ::step],
        )
