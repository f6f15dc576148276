"""Average precision over thresholds, beside what single scores say."""

import numpy as np
import pytest

from dlt.data import cells
from dlt.metrics import average_precision, object_scores
from dlt.predict import objects


def test_it_is_what_single_scores_add_up_to():
    labels = cells(6, 96, labels=True)[1]
    predicted = [objects(one > 0) for one in labels]
    result = average_precision(labels, predicted)
    assert result.iou == (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
    for i, iou in enumerate(result.iou):
        each = [object_scores(*pair, iou=iou) for pair in zip(labels, predicted, strict=True)]
        found = sum(one.found for one in each)
        assert result.scores[i].found == found
        assert result.pooled[i] == found / (found + sum(one.missed + one.invented for one in each))
        assert result.per_image[i] == pytest.approx(np.mean([one.average_precision for one in each]))
    assert list(result.pooled) == sorted(result.pooled, reverse=True)
    assert result.mean_pooled == pytest.approx(np.mean(result.pooled))
    assert result.mean_per_image == pytest.approx(np.mean(result.per_image))
    assert result.pooled != result.per_image


def test_pooled_and_mean_of_images_by_hand():
    crowd = np.arange(1, 10)[None]  # nine objects of a pixel, all found
    lonely = np.array([[1, 0, 0]])
    result = average_precision([crowd, lonely], [crowd, np.array([[0, 0, 1]])], iou=(0.5,))
    assert result.pooled == (9 / 11,)
    assert result.per_image == (0.5,)


def test_the_truth_is_perfect_and_nothing_is_nothing():
    truth = cells(2, 64, labels=True)[1]
    assert average_precision(truth, truth).mean_per_image == 1
    assert average_precision(truth, 0 * truth).mean_pooled == 0


def test_bad_arguments():
    labels = np.zeros((2, 3), int)
    for pair in (([], []), ([labels], [labels, labels])):
        with pytest.raises(ValueError, match="Images and predictions do not fit"):
            average_precision(*pair)
    with pytest.raises(ValueError, match=r"iou=0\.2"):
        average_precision([labels], [labels], iou=(0.5, 0.2))
    with pytest.raises(ValueError, match=r"\(2, 3\), \(3, 2\)"):
        average_precision([labels], [labels.T])


def test_what_is_no_list_of_images():
    labels = cells(2, 32, labels=True)[1][..., 0]
    by_list = average_precision(list(labels), list(labels))
    assert average_precision((one for one in labels), iter(labels)) == by_list
    with pytest.raises(ValueError, match="Put a single image into a list"):
        average_precision(labels[0], labels[0])
    for iou in (0.5, ()):
        with pytest.raises(ValueError, match="a sequence of thresholds"):
            average_precision(labels, labels, iou)
