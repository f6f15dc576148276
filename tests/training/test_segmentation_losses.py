"""BCE + Dice, against Keras's own parts."""

import keras
import numpy as np
import pytest

from dlt.metrics import DiceCoefficient
from dlt.training import BinaryCrossentropyDice


@pytest.fixture
def pair(rng):
    truth = (rng.random((3, 8, 9, 1)) < 0.1).astype("float32")
    return truth, rng.random((3, 8, 9, 1)).astype("float32")


@pytest.mark.parametrize("axis", [None, (1, 2, 3)])
@pytest.mark.parametrize("weight", [0, 0.5, 0.9])
def test_it_is_the_weighted_sum_of_keras_losses(pair, weight, axis):
    loss = float(BinaryCrossentropyDice(weight, axis)(*pair))
    crossentropy, dice = (
        float(one(*pair)) for one in (keras.losses.BinaryCrossentropy(), keras.losses.Dice(axis=axis))
    )
    assert loss == pytest.approx((1 - weight) * crossentropy + weight * dice, rel=1e-5)


def test_it_is_zero_for_the_truth_and_takes_whole_numbers():
    masks = np.zeros((2, 4, 4, 1), "uint8")
    masks[:, :2] = 1
    assert float(BinaryCrossentropyDice()(masks, masks.astype("float32"))) == pytest.approx(0, abs=1e-5)


def test_an_empty_image_costs_a_whole_dice_of_its_own_but_not_of_the_batch():
    """The reason why the batch is pooled by default."""
    masks = np.zeros((2, 4, 4, 1), "float32")
    masks[0, :2] = 1
    assert float(keras.losses.Dice(axis=(1, 2, 3))(masks, masks)) == pytest.approx(0.5, abs=1e-4)
    assert float(BinaryCrossentropyDice(0.5, axis=(1, 2, 3))(masks, masks)) == pytest.approx(0.25, abs=1e-4)
    assert float(BinaryCrossentropyDice(0.5)(masks, masks)) == pytest.approx(0, abs=1e-4)


def test_loss_and_metric_survive_saving(tmp_path, pair):
    model = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(1, 1, activation="sigmoid")])
    model.compile("sgd", BinaryCrossentropyDice(0.3, (1, 2, 3)), metrics=[DiceCoefficient(0.4)], jit_compile=False)
    expected = model.evaluate(pair[1], pair[0], verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.loss.get_config() == model.loss.get_config()
    np.testing.assert_allclose(again.evaluate(pair[1], pair[0], verbose=0), expected, rtol=1e-5)


def test_masks_that_do_not_fit_are_refused(pair):
    """A mask without its channel would be broadcast, without an error where batch and height are equal."""
    truth, answer = pair
    loss = BinaryCrossentropyDice()
    for bad in (truth[..., 0], truth[:1], truth[:, :1], truth[..., None]):
        with pytest.raises(ValueError, match=r"do not fit.*\(batch, height, width, 1\).*mask\[\.\.\., None\]"):
            loss(bad, answer)
    with pytest.raises(ValueError, match="masks that do not fit"):
        loss(truth[..., 0], answer[..., 0])


@pytest.mark.parametrize("axis", [None, (1, 2, 3)])
def test_weights_are_of_images(pair, axis):
    truth, answer = pair
    loss, weights = BinaryCrossentropyDice(0.5, axis, reduction="sum"), np.array([1.0, 2.0, 4.0])
    each = keras.losses.binary_crossentropy(truth, answer)
    crossentropy = keras.ops.convert_to_numpy(each).mean((1, 2))
    dice = keras.ops.convert_to_numpy(keras.losses.dice(truth, answer, axis=axis))
    expected = (weights * (crossentropy + dice) / 2).sum()
    for shape in ((3,), (3, 1), (3, 1, 1)):
        assert float(loss(truth, answer, weights.reshape(shape))) == pytest.approx(expected, rel=1e-5)
    with pytest.raises(ValueError, match=r"weighs images, not pixels.*\(3, 8, 9\)"):
        loss(truth, answer, np.ones((3, 8, 9)))


def test_bad_axis():
    for axis in (1, (1, 2), "batch"):
        with pytest.raises(ValueError, match="Invalid `axis`"):
            BinaryCrossentropyDice(axis=axis)


def test_bad_weight():
    with pytest.raises(ValueError, match=r"Invalid `dice`.*dice=1.*keras\.losses\.Dice"):
        BinaryCrossentropyDice(1)
