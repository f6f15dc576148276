"""Objects found, missed and invented, where each is known."""

import numpy as np
import pytest
from keras import ops

from dlt.data import borders, cells
from dlt.metrics import ObjectScores, merges, object_scores
from dlt.predict import objects


def test_the_truth_is_found_whatever_the_numbers(rng):
    _, labels = cells(1, 96, labels=True)
    truth = labels[0]
    count = int(truth.max())
    assert object_scores(truth, truth) == ObjectScores(count, 0, 0)
    names = np.append(0, rng.permutation(count) + 100)  # other numbers, with gaps
    assert object_scores(truth, names[truth], iou=0.9) == ObjectScores(count, 0, 0)


def test_missed_invented_merged_split_and_shrunk():
    truth = np.zeros((10, 30), int)
    truth[2:8, 2:8], truth[2:8, 9:15] = 1, 2  # two squares, one pixel apart
    nothing = np.zeros_like(truth)
    assert object_scores(truth, nothing) == ObjectScores(0, 2, 0)
    assert object_scores(nothing, truth) == ObjectScores(0, 0, 2)
    merged = nothing.copy()
    merged[2:8, 2:15] = 1  # better than 0.9 in Dice, and no object is right
    assert object_scores(truth, merged) == ObjectScores(0, 2, 1)
    split = truth.copy()
    split[2:5, 2:8] = 3  # half of the first: IoU is 0.5, and not above it
    assert object_scores(truth, split) == ObjectScores(1, 1, 2)
    shrunk = nothing.copy()
    shrunk[2:7, 2:8] = 1  # 30 of 36 pixels
    assert object_scores(truth, shrunk, iou=0.83) == ObjectScores(1, 1, 0)
    assert object_scores(truth, shrunk, iou=0.84) == ObjectScores(0, 2, 1)


def test_merges_and_splits_are_counted():
    truth = np.zeros((10, 40), int)
    for number in range(4):
        truth[2:8, 10 * number : 10 * number + 8] = number + 1
    assert merges(truth, truth) == 0
    pairs = np.where(truth > 0, (truth + 1) // 2, 0)  # two clumps of two
    assert (merges(truth, pairs), merges(pairs, truth)) == (2, 0)
    all_in_one = np.where(truth > 0, 1, 0)
    assert merges(truth, all_in_one) == 1
    halves = truth * 2 - (np.arange(10)[:, None] < 5) * (truth > 0)
    assert (merges(truth, halves), merges(halves, truth)) == (0, 4)
    bitten = pairs.copy()
    bitten[2:8, 10:14] = 0  # exactly half of the second is left: no more than half
    assert merges(truth, bitten) == 1
    assert merges(truth, 0 * truth) == merges(0 * truth, truth) == 0


def test_scores_add_up():
    total = ObjectScores(3, 1, 2) + ObjectScores(1, 1, 0)
    assert total == ObjectScores(4, 2, 2)
    assert total.average_precision == 4 / 8
    assert total.f1 == 8 / 12
    assert (total.precision, total.recall) == (4 / 6, 4 / 6)
    assert (ObjectScores(3, 1, 2).precision, ObjectScores(3, 1, 2).recall) == (3 / 5, 3 / 4)
    assert ObjectScores().f1 == ObjectScores().average_precision == 1


def test_borders_keep_touching_cells_apart():
    _, labels = cells(10, 96, labels=True)
    for truth in labels:
        merged, apart = ((objects(mask, min_area=8)) for mask in (truth > 0, (truth > 0) & ~borders(truth)))
        assert object_scores(truth, apart).found >= object_scores(truth, merged).found
    total = [
        sum((object_scores(t, objects(m, min_area=8)) for t, m in zip(labels, masks, strict=True)), ObjectScores())
        for masks in ([t > 0 for t in labels], [(t > 0) & ~borders(t) for t in labels])
    ]
    assert total[0].average_precision < 0.7 < total[1].average_precision


@pytest.mark.parametrize("kind", ["uint8", "uint16", "int64", "uint64"])
def test_labels_of_any_whole_numbers(kind):
    labels = np.zeros((8, 20, 1), kind)
    labels[1:4, 1:5], labels[5:, 8:] = 1, np.iinfo(kind).max  # no table of that size is made
    assert object_scores(labels, labels) == ObjectScores(2, 0, 0)


def test_a_mask_has_no_objects_to_count():
    """As labels it is one object, whatever it shows."""
    mask = np.zeros((8, 8), bool)
    mask[1:3, 1:3], mask[5:, 5:] = True, True
    labels = objects(mask[..., None])[..., 0]
    for bad in (mask, mask.astype("uint8") * 255, mask.astype("uint16") * 65535, mask * 1.0, mask - 1):
        for pair in ((labels, bad), (bad, labels)):
            with pytest.raises(ValueError, match=r"object_scores needs numbered objects.*dlt\.predict\.objects"):
                object_scores(*pair)


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"matches are unique.*iou=0\.3"):
        object_scores(np.zeros((2, 2), int), np.zeros((2, 2), int), iou=0.3)
    with pytest.raises(ValueError, match=r"\(2, 2\), \(2, 3\)"):
        object_scores(np.zeros((2, 2), int), np.zeros((2, 3), int))


def test_labels_as_files_and_other_libraries_hold_them(tmp_path):
    _, labels = cells(1, 64, labels=True)
    truth = labels[0, ..., 0]
    expected = object_scores(truth, truth)
    read_only = truth.copy()
    read_only.flags.writeable = False
    np.save(tmp_path / "labels.npy", truth)
    mapped = np.load(tmp_path / "labels.npy", mmap_mode="r")
    for other in (read_only, mapped, truth.astype(">u2"), ops.convert_to_tensor(truth), 10**9 * truth.astype("int64")):
        assert object_scores(other, other) == object_scores(truth, other) == expected
        assert merges(other, other) == 0


def test_a_mask_of_0_and_1_reads_as_one_object_until_its_objects_are_numbered():
    mask = np.array([[1, 1, 0, 1, 1]])
    assert object_scores(mask, mask) == ObjectScores(1, 0, 0)
    numbered = objects(mask[..., None])
    assert object_scores(numbered, numbered) == ObjectScores(2, 0, 0)
