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


def test_masks_that_do_not_fit_are_refused():
    """Broadcast, these two equal masks would have a Dice coefficient of 0.06."""
    mask = np.eye(16)[None]
    for one, other in ((mask, mask[..., None]), (mask[..., None], mask), (mask, mask), (mask[0], mask[0])):
        with pytest.raises(ValueError, match=r"masks that do not fit.*\(1?,? ?16, 16"):
            dice_coefficient(one, other)
    with pytest.raises(ValueError, match=r"one channel. Received: shape=\(1, 16, 16, 2\)"):
        dice_coefficient(np.ones((1, 16, 16, 2)), np.ones((1, 16, 16, 2)))
    metric = DiceCoefficient()
    with pytest.raises(ValueError, match="masks that do not fit"):
        metric.update_state(mask, mask[..., None])


def test_masks_of_any_dtype_and_any_threshold(pair):
    truth, answer = pair
    expected = keras.ops.convert_to_numpy(dice_coefficient(truth, answer, 0.2))
    for same in (truth > 0, truth.astype("uint8"), truth.astype("uint8") * 255, truth.astype("float16")):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(dice_coefficient(same, answer, 0.2)), expected)
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(dice_coefficient(truth, same)), [1, 1, 1])
    soft = truth * 0.6  # the threshold is that of the prediction
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(dice_coefficient(soft, soft, 0.7)), [0, 0, 0])
    for threshold in (1.5, -0.1, None):
        for use in (lambda t: dice_coefficient(truth, answer, t), DiceCoefficient):
            with pytest.raises(ValueError, match=f"threshold={threshold}"):
                use(threshold)


def test_weights_are_of_images(pair):
    metric, each = DiceCoefficient(), keras.ops.convert_to_numpy(dice_coefficient(*pair))
    for shape in ((3,), (3, 1), (3, 1, 1)):
        metric.reset_state()
        metric.update_state(*pair, np.array([1.0, 2.0, 5.0]).reshape(shape))
        assert float(metric.result()) == pytest.approx(np.average(each, weights=[1, 2, 5]), rel=1e-5)
    with pytest.raises(ValueError, match="weighs images, not pixels"):
        metric.update_state(*pair, np.ones((3, 8, 9)))
