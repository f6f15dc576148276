"""The classifier of small pictures: what is shipped knows a photograph of a cat, and random weights do not."""

import keras
import numpy as np
import pytest

from dlt.data import CIFAR10_CLASSES, photos
from dlt.models import create_cifar10_classifier

MEAN, DEVIATION = (255 * np.array(three) for three in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
CAT = CIFAR10_CLASSES.index("cat")


def cats():
    """Return the head of a cat, cut out of one photograph at several places and mirrored, as the network takes it."""
    photo = photos("chelsea")["chelsea"].astype("float32")
    squares = [photo[:, left : left + 300] for left in (50, 75, 100, 125)]
    squares += [square[:, ::-1] for square in squares]
    small = keras.ops.image.resize(np.stack(squares), (32, 32), antialias=True)
    return (keras.ops.convert_to_numpy(small) - MEAN) / DEVIATION


ANIMALS = [CIFAR10_CLASSES.index(name) for name in ("bird", "cat", "deer", "dog", "frog", "horse")]


def probabilities(model):
    return keras.ops.convert_to_numpy(keras.ops.softmax(model(cats())))


def test_shipped_weights_know_an_animal_and_mostly_a_cat():
    found = probabilities(create_cifar10_classifier("cifar10"))
    assert (found[:, ANIMALS].sum(axis=1) > 0.8).all()
    rank = (found > found[:, [CAT]]).sum(axis=1)
    assert np.mean(rank == 0) > 0.5


def test_random_weights_know_nothing():
    for seed in range(5):
        keras.utils.set_random_seed(seed)
        found = probabilities(create_cifar10_classifier())
        assert (found[:, ANIMALS].sum(axis=1) < 0.8).all()


def test_as_a_backbone_it_takes_any_size_and_keeps_its_weights():
    whole = create_cifar10_classifier("cifar10")
    backbone = create_cifar10_classifier("cifar10", include_top=False, input_shape=(None, None, 3), name="body")
    assert backbone.name == "body"
    assert backbone(np.zeros((1, 48, 64, 3), "float32")).shape == (1, 6, 8, 160)
    kept = {weight.path: keras.ops.convert_to_numpy(weight) for weight in whole.weights}
    for weight in backbone.weights:
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(weight), kept[weight.path])


def test_a_head_for_other_classes_stays_random_and_is_named(caplog):
    body = create_cifar10_classifier("cifar10", include_top=False)
    three = create_cifar10_classifier("cifar10", num_classes=3)
    assert three.output_shape == (None, 3)
    assert "head/kernel" in caplog.text
    for one, two in zip(
        three.get_layer("stem_conv").get_weights(), body.get_layer("stem_conv").get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, two)


def test_weights_of_ones_own(tmp_path):
    model = create_cifar10_classifier(num_classes=2)
    model.save_weights(tmp_path / "own.weights.h5")
    again = create_cifar10_classifier(tmp_path / "own.weights.h5", num_classes=2)
    for one, two in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_bad_arguments():
    with pytest.raises(FileNotFoundError):
        create_cifar10_classifier("nowhere.weights.h5")
    with pytest.raises(ValueError, match=r"do not fit|does not fit|shape"):
        create_cifar10_classifier("cifar10", dims=(32, 64, 128))
    with pytest.raises((TypeError, ValueError), match="num_classes"):
        create_cifar10_classifier(classes=3)
