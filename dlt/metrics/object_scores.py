import dataclasses

import numpy as np
import skimage.metrics
from keras import ops

from dlt._arrays import check_labels, renumbered
from dlt._check import fail


@dataclasses.dataclass(frozen=True)
class ObjectScores:
    """How many objects were found; scores of several images are added with `+`.

    Args:
        found: Objects that were matched: true positives.
        missed: True objects without a match: false negatives.
        invented: Predicted objects without a match: false positives.
    """

    found: int = 0
    missed: int = 0
    invented: int = 0

    def __add__(self, other: "ObjectScores") -> "ObjectScores":
        return ObjectScores(self.found + other.found, self.missed + other.missed, self.invented + other.invented)

    @property
    def precision(self) -> float:
        """Found by all predicted objects; 1 if there are none."""
        return divided(self.found, self.found + self.invented)

    @property
    def recall(self) -> float:
        """Found by all true objects; 1 if there are none."""
        return divided(self.found, self.found + self.missed)

    @property
    def f1(self) -> float:
        """Twice the found by the number of all true and all predicted objects; 1 if there are none."""
        return divided(2 * self.found, 2 * self.found + self.missed + self.invented)

    @property
    def average_precision(self) -> float:
        """Found by found, missed and invented, as the Data Science Bowl defines it; 1 if there are none."""
        return divided(self.found, self.found + self.missed + self.invented)


def divided(part: int, total: int) -> float:
    """Return the ratio, or 1 if there is nothing to divide."""
    return part / total if total else 1.0


def object_scores(true: np.ndarray, predicted: np.ndarray, iou: float = 0.5) -> ObjectScores:
    """Return how many objects of an image were found: matched with one of the prediction by at least some IoU.

    Above an IoU of 0.5 an object cannot match two others, so the matching is unique and needs no search. Pixel scores
    do not notice when a prediction merges nuclei. Here, of two that are drawn as one, the larger is found and the
    smaller missed; of two equal ones, and of most clumps of more, all are missed and the clump is invented.

    Args:
        true: Whole-number array, any shape: 0 for the background, and 1, 2, ... for the objects. A mask of 0 and 1
            reads as one object: number its objects first, with `dlt.predict.objects`.
        predicted: Array of the same shape, with numbers of its own.
        iou: Float in [0.5, 1): intersection over union above which two objects match.

    Returns:
        An `ObjectScores`.

    Raises:
        ValueError: If the shapes differ, one of them is a mask of booleans, of floats or stored as a picture (0 and
            255 as uint8), or `iou` is out of range.

    >>> true = np.array([[1, 1, 1, 0, 2, 2, 2]])
    >>> object_scores(true, np.array([[1, 1, 1, 0, 0, 0, 2]]))
    ObjectScores(found=1, missed=1, invented=1)
    >>> object_scores(true, np.array([[1, 1, 1, 1, 1, 1, 1]])).average_precision  # merged
    0.0
    """
    check_iou(iou)
    return scores_at(iou, *intersections(true, predicted))


def merges(true: np.ndarray, predicted: np.ndarray) -> int:
    """Return how many predicted objects merge true ones: hold more than half of each of two or more.

    With the arguments exchanged it counts splits: true objects that hold more than half of two or more predicted ones.

    Args:
        true: Whole-number array, any shape: 0 for the background, and 1, 2, ... for the objects.
        predicted: Array of the same shape, with numbers of its own.

    Returns:
        Whole number.

    Raises:
        ValueError: As `object_scores` does.

    >>> merges(np.array([[1, 1, 1, 0, 2, 2, 2]]), np.array([[1, 1, 1, 1, 1, 1, 0]]))
    1
    """
    both, size_true, _ = intersections(true, predicted)
    return int(((2 * both > size_true[:, None]).sum(axis=0) > 1).sum())


def check_iou(iou: float) -> None:
    """Raise unless an object can match one other at most."""
    if not 0.5 <= iou < 1:
        fail("Invalid `iou`.", "a number in [0.5, 1), where matches are unique", f"iou={iou}", "Pass for example 0.5.")


def intersections(true: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return how many pixels each true and each predicted object share, and how many each has, in whole numbers."""
    true, predicted = (ops.convert_to_numpy(labels) for labels in (true, predicted))
    if true.shape != predicted.shape:
        fail("Two images that do not fit.", "the same shape", f"{true.shape}, {predicted.shape}", "Crop one of them.")
    for labels in (true, predicted):
        check_labels("object_scores", labels)
    true, predicted = renumbered(true).ravel(), renumbered(predicted).ravel()
    both = skimage.metrics.contingency_table(true, predicted).toarray()
    return both[1:, 1:].astype(int), np.bincount(true)[1:], np.bincount(predicted)[1:]


def scores_at(iou: float, both: np.ndarray, size_true: np.ndarray, size_predicted: np.ndarray) -> ObjectScores:
    """Return the scores at one threshold."""
    union = size_true[:, None] + size_predicted - both
    found = int((both > iou * union).sum())
    return ObjectScores(found, len(size_true) - found, len(size_predicted) - found)
