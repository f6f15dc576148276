"""The Dice coefficient, by hand."""

import keras
import numpy as np
import pytest

from dlt.metrics import DiceCoefficient, dice_coefficient


@pytest.fixture
def pair(rng):
    truth = (rng.random((3, 8, 9, 1)) < 0.1).astype("float32")
    return truth, rng.random((3, 8, 9, 1)).astype("float32")


def test_dice_by_hand():
    truth, answer = np.zeros((2, 4, 4, 4, 1), "float32")
    truth[0, 0, :4], answer[0, 0, :3], answer[0, 1, 0] = 1, 0.9, 0.6  # 4 and 4 pixels, 3 in common
    truth[1, :2] = 1  # nothing found
    answer[2, 0, 0] = 0.51  # something invented
    found = keras.ops.convert_to_numpy(dice_coefficient(truth, answer))
    np.testing.assert_allclose(found, [0.75, 0, 0, 1])  # the last: nothing there, nothing found
    assert float(dice_coefficient(truth, answer, threshold=0.7)[0]) == pytest.approx(6 / 7)


def test_the_metric_is_the_mean_over_images(pair):
    metric = DiceCoefficient()
    for i in range(3):
        metric.update_state(pair[0][i : i + 1], pair[1][i : i + 1])
    assert float(metric.result()) == pytest.approx(float(keras.ops.mean(dice_coefficient(*pair))))
    a, b = pair[0] > 0, pair[1] > 0.5
    expected = [2 * (a[i] & b[i]).sum() / (a[i].sum() + b[i].sum()) for i in range(3)]
    assert float(metric.result()) == pytest.approx(np.mean(expected))
