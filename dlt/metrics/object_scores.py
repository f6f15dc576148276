import dataclasses

import numpy as np
import skimage.metrics
import skimage.segmentation

from dlt._arrays import check_labels
from dlt._check import fail


@dataclasses.dataclass(frozen=True)
class ObjectScores:
    """How many objects were found; scores of several images are added with `+`.

    Args:
        found: Objects that were matched.
        missed: True objects without a match.
        invented: Predicted objects without a match.
    """

    found: int = 0
    missed: int = 0
    invented: int = 0

    def __add__(self, other: "ObjectScores") -> "ObjectScores":
        return ObjectScores(self.found + other.found, self.missed + other.missed, self.invented + other.invented)

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
        true: Whole-number array, any shape: 0 for the ground, and 1, 2, ... for the objects.
        predicted: Array of the same shape, with numbers of its own.
        iou: Float in [0.5, 1): intersection over union above which two objects match.

    Returns:
        An `ObjectScores`.

    Raises:
        ValueError: If the shapes differ, one of them is a mask, not labels, or `iou` is out of range.

    >>> true = np.array([[1, 1, 1, 0, 2, 2, 2]])
    >>> object_scores(true, np.array([[1, 1, 1, 0, 0, 0, 2]]))
    ObjectScores(found=1, missed=1, invented=1)
    >>> object_scores(true, np.array([[1, 1, 1, 1, 1, 1, 1]])).average_precision  # merged
    0.0
    """
    if not 0.5 <= iou < 1:
        fail("Invalid `iou`.", "a number in [0.5, 1), where matches are unique", f"iou={iou}", "Pass for example 0.5.")
    true, predicted = np.asarray(true), np.asarray(predicted)
    if true.shape != predicted.shape:
        fail("Two images that do not fit.", "the same shape", f"{true.shape}, {predicted.shape}", "Crop one of them.")
    for labels in (true, predicted):
        check_labels("object_scores", labels)
    true, predicted = (skimage.segmentation.relabel_sequential(labels)[0] for labels in (true, predicted))
    both = skimage.metrics.contingency_table(true.ravel(), predicted.ravel()).toarray()
    size_true, size_predicted = np.bincount(true.ravel()), np.bincount(predicted.ravel())
    union = size_true[:, None] + size_predicted[None] - both
    found = int((both[1:, 1:] > iou * union[1:, 1:]).sum())
    return ObjectScores(found, int((size_true[1:] > 0).sum()) - found, int((size_predicted[1:] > 0).sum()) - found)
