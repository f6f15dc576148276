"""Target pyramids match the outputs of the network, images by averages, labels by picking."""

import keras
import numpy as np
import pytest

from dlt.data import NoisyPatches, cells, photos
from dlt.models import ConvUNextModel
from dlt.training import DeepSupervision, supervision_weights, target_pyramid


def test_images_are_averaged_and_labels_picked():
    image = np.array([[0, 2, 10], [4, 6, 20], [8, 8, 30]], "float32").reshape(1, 3, 3, 1)
    _, half, quarter = target_pyramid(image, 3)
    np.testing.assert_array_equal(half[0, ..., 0], [[3, 15], [8, 30]])
    np.testing.assert_array_equal(quarter.ravel(), [14])
    labels = image.astype("int32")
    _, half, quarter = target_pyramid(labels, 3, labels=True)
    np.testing.assert_array_equal(half[0, ..., 0], [[0, 10], [8, 30]])
    assert quarter.dtype == np.int32
    assert set(quarter.ravel()) <= set(labels.ravel())


@pytest.mark.parametrize("sides", [(16, 16), (13, 6), (1, 5)])
def test_the_pyramid_fits_the_outputs(sides):
    model = ConvUNextModel((*sides, 1), depth=3, initial_filters=4, blocks_per_level=1, enable_deep_supervision=True)
    shapes = [level.shape[1:] for level in target_pyramid(np.zeros((2, *sides, 1)), 3)]
    assert shapes == [output.shape[1:] for output in model.outputs]


def test_fit_with_noisy_patches():
    model = ConvUNextModel(
        (None, None, 1), depth=2, initial_filters=4, blocks_per_level=1, enable_deep_supervision=True
    )
    patches = NoisyPatches([photos("camera")["camera"]], size=16, batch_size=4, steps=8)
    data = DeepSupervision(patches, levels=2)
    assert len(data) == 8
    model.compile(keras.optimizers.Adam(3e-3), ["mse", "mse"], loss_weights=supervision_weights(2))
    history = model.fit(data, epochs=3, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert patches.epoch >= 3  # the wrapped data set hears of every epoch


def test_the_mean_of_a_mask_stays_whatever_stores_it():
    """Cast back to whole numbers, a mask would vanish level by level, as booleans it would grow."""
    _, masks = cells(10, 64)
    for kind in ("uint8", "bool", "int64", "float16", "float32", "float64"):
        pyramid = target_pyramid(masks.astype(kind), 4)
        assert {level.dtype for level in pyramid} == {np.dtype(kind if "float" in kind else "float32")}
        np.testing.assert_allclose([level.mean(dtype="float64") for level in pyramid], masks.mean(), rtol=1e-3)
    for bad in (masks * 255, masks.astype("uint16") * 257, masks * 2, masks.astype(int) - 1):
        with pytest.raises(ValueError, match=r"whether these whole numbers are classes.*labels=True"):
            target_pyramid(bad, 3)
        assert target_pyramid(bad, 3, labels=True)[2].dtype == bad.dtype


@pytest.mark.parametrize("labels", [False, True])
def test_tensors_as_arrays(rng, labels):
    targets = rng.random((2, 7, 10, 3)).astype("float32")
    tensors = target_pyramid(keras.ops.convert_to_tensor(targets), 4, labels)
    for one, other in zip(tensors, target_pyramid(targets, 4, labels), strict=True):
        assert keras.ops.is_tensor(one)
        np.testing.assert_allclose(keras.ops.convert_to_numpy(one), other, atol=1e-6)
    for kind in ("bool", "uint8"):
        half = target_pyramid(keras.ops.convert_to_tensor((targets > 0.5).astype(kind)), 2)[1]
        np.testing.assert_allclose(keras.ops.convert_to_numpy(half), target_pyramid(targets > 0.5, 2)[1], atol=1e-6)


def test_in_a_pipeline_of_tensorflow(rng):
    """Sides and batch are unknown while the pipeline is built."""
    if keras.backend.backend() != "tensorflow":
        pytest.skip("keras.ops takes the tensors of its own backend")
    import tensorflow

    images = rng.random((4, 10, 15, 1)).astype("float32")
    spec = (tensorflow.TensorSpec((None, None, 1)),) * 2
    pairs = tensorflow.data.Dataset.from_generator(lambda: zip(images, images, strict=True), output_signature=spec)
    data = pairs.batch(2).map(lambda x, y: (x, target_pyramid(y, 2)))
    for i, (_, pyramid) in enumerate(data):
        for one, other in zip(pyramid, target_pyramid(images[2 * i : 2 * i + 2], 2), strict=True):
            np.testing.assert_allclose(one, other, atol=1e-6)
    model = supervised()
    of_arrays = supervised()
    one = model.fit(data.repeat(), steps_per_epoch=2, shuffle=False, verbose=0).history["loss"]
    other = of_arrays.fit(images, target_pyramid(images, 2), batch_size=2, shuffle=False, verbose=0).history["loss"]
    np.testing.assert_allclose(one, other, rtol=1e-5)
    with pytest.raises(ValueError, match=r"Received: .*Dataset\. .*map: `dataset\.map\(lambda x, y"):
        DeepSupervision(pairs, 2)


class Weighted(keras.utils.PyDataset):
    """One batch."""

    def __init__(self, *batch):
        super().__init__()
        self.batch = batch

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return self.batch


def supervised():
    """Return a network of two outputs, the second of half the size."""
    keras.utils.set_random_seed(0)
    images = keras.Input((None, None, 1))
    outputs = [keras.layers.Conv2D(1, 2, strides, padding="same")(images) for strides in (1, 2)]
    model = keras.Model(images, outputs)
    model.compile("sgd", ["mse", "mse"], jit_compile=False)
    return model


def test_weights_go_along_with_the_targets(rng):
    """By hand, and in `fit`, where weights of images would else be taken for those of columns."""
    images = rng.random((8, 8, 8, 1)).astype("float32")  # as many images as columns
    ramp = np.arange(1.0, 9.0)
    each = np.broadcast_to(ramp[:, None, None], (8, 8, 8)).astype("float32")
    predicted = [keras.ops.convert_to_numpy(one) for one in supervised()(images)]
    errors = [(one - other) ** 2 for one, other in zip(predicted, target_pyramid(images, 2), strict=True)]
    expected = sum((error[..., 0] * ramp[:, None, None]).mean() for error in errors)
    for weights in (ramp, each):
        data = DeepSupervision(Weighted(images, images, weights), 2)
        assert supervised().fit(data, verbose=0).history["loss"][0] == pytest.approx(expected, rel=1e-4)
    for weights in (ramp[:, None], each[..., None], each.astype(int)):  # whatever form they have
        for one, other in zip(
            DeepSupervision(Weighted(images, images, weights), 2)[0][2],
            DeepSupervision(Weighted(images, images, np.squeeze(weights)), 2)[0][2],
            strict=True,
        ):
            np.testing.assert_array_equal(one, other)
    pixels = rng.random((8, 8, 8))
    for labels, half in ((False, pixels.reshape(8, 4, 2, 4, 2).mean((2, 4))), (True, pixels[:, ::2, ::2])):
        _, _, weights = DeepSupervision(Weighted(images, images, pixels), 2, labels)[0]
        np.testing.assert_allclose(weights[1], half, rtol=1e-5)
    for weights in ([ramp, ramp], (each, each[:, ::2, ::2])):  # one for each output: nothing to do
        assert DeepSupervision(Weighted(images, images, weights), 2)[0][2] == tuple(weights)


def test_batches_that_do_not_fit():
    images = np.zeros((2, 8, 8, 1))
    with pytest.raises(ValueError, match=r"Weights that do not fit.*\(2,\).*\(2, 8, 8\). Received: shape=\(8, 8\)"):
        DeepSupervision(Weighted(images, images, images[0, ..., 0]), 2)[0]
    with pytest.raises(ValueError, match=r"Nothing to supervise.*1 parts"):
        DeepSupervision(Weighted(images), 2)[0]
    with pytest.raises(ValueError, match="batches of images"):
        DeepSupervision(Weighted(images, images[..., 0]), 2)[0]
    with pytest.raises(ValueError, match=r"Received: tuple.*target_pyramid\(y, levels\)"):
        DeepSupervision((images, images), 2)


def test_bad_arguments():
    with pytest.raises(ValueError, match="levels=0"):
        target_pyramid(np.zeros((1, 4, 4, 1)), 0)
    with pytest.raises(ValueError, match="batches of images"):
        target_pyramid(np.zeros((4, 4, 1)), 2)
    with pytest.raises(ValueError, match="levels=-1"):
        supervision_weights(-1)
