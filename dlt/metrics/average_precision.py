import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np

from dlt._check import fail
from dlt.metrics.object_scores import ObjectScores, check_iou, intersections, scores_at

THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


@dataclasses.dataclass(frozen=True)
class AveragePrecision:
    """Average precision at several thresholds of IoU, in the two ways in which it is reported.

    Args:
        iou: Floats, the thresholds.
        pooled: Floats, of the objects of all images together; crowded images count more. As StarDist's authors do it.
        per_image: Floats, the mean of the images' own. As the Data Science Bowl did it.
        scores: An `ObjectScores` of all images for each threshold.
    """

    iou: tuple[float, ...]
    pooled: tuple[float, ...]
    per_image: tuple[float, ...]
    scores: tuple[ObjectScores, ...]

    @property
    def mean_pooled(self) -> float:
        """Mean over the thresholds, of all objects together."""
        return float(np.mean(self.pooled))

    @property
    def mean_per_image(self) -> float:
        """Mean over thresholds and images; with the ten default thresholds the score of the Data Science Bowl 2018."""
        return float(np.mean(self.per_image))


def average_precision(
    true: Iterable[np.ndarray], predicted: Iterable[np.ndarray], iou: Sequence[float] = THRESHOLDS
) -> AveragePrecision:
    """Return the average precision of predicted objects of some images: found by found, missed and invented.

    It is the name that the field gives to this ratio (Jaccard index of the objects); the area under a curve of
    precision over recall, which object detection calls by the same name, is another quantity.

    Reference: Caicedo et al. 2019, "Nucleus segmentation across imaging experiments: the 2018 Data Science Bowl"
    (https://doi.org/10.1038/s41592-019-0612-7).

    Args:
        true: Whole-number arrays, one per image, each of two axes or more: 0 for the background, and 1, 2, ... for the
            objects.
        predicted: As many arrays of the same shapes, with numbers of their own.
        iou: Sequence of floats in [0.5, 1): intersection over union above which two objects match.

    Returns:
        An `AveragePrecision`.

    Raises:
        ValueError: If there are no images, no thresholds or not as many predictions, one image is given in place of
            several, or as `object_scores` does.

    >>> true, predicted = np.array([[1, 1, 1, 0, 2, 2, 2]]), np.array([[1, 1, 1, 0, 0, 3, 3]])
    >>> average_precision([true], [predicted], iou=(0.5, 0.75)).pooled
    (1.0, 0.3333333333333333)
    """
    true, predicted = list(true), list(predicted)
    if not true or len(true) != len(predicted):
        fail(
            "Images and predictions do not fit.",
            "as many of one as of the other, at least one",
            f"{len(true)} and {len(predicted)}",
            "Pass lists of images.",
        )
    if any(np.ndim(image) < 2 for image in true):
        fail("These are no images.", "arrays of two axes or more", "rows", "Put a single image into a list.")
    if np.ndim(iou) != 1 or not len(iou):
        fail("Invalid `iou`.", "a sequence of thresholds", f"iou={iou}", "Pass for example (0.5, 0.75).")
    for threshold in iou:
        check_iou(threshold)
    shared = [intersections(*pair) for pair in zip(true, predicted, strict=True)]
    each = [[scores_at(threshold, *one) for one in shared] for threshold in iou]
    pooled = [sum(scores, ObjectScores()) for scores in each]
    return AveragePrecision(
        tuple(float(threshold) for threshold in iou),
        tuple(scores.average_precision for scores in pooled),
        tuple(float(np.mean([one.average_precision for one in scores])) for scores in each),
        tuple(pooled),
    )
