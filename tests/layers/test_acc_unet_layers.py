"""ACC-UNet's layers: equal to their plain form, in the kernel order they promise, with the reach they have."""

import keras
import numpy as np
import pytest
from keras import ops

from benchmarks import plain_acc_unet as plain
from dlt.convert._tables import part_by_part
from dlt.layers import HANCBlock, HANCLayer, MLFCLayer, ResPath, SqueezeExcitation
from tests.helpers import randomise


def images(rng, *shape):
    return rng.normal(size=shape).astype("float32")


def assert_same(ours, theirs, tolerance=1e-5):
    ours, theirs = ops.convert_to_numpy(ours), ops.convert_to_numpy(theirs)
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= tolerance * np.abs(theirs).max()


def compare(layer, network, x):
    """Assert that a layer and a network with its weights do the same, in inference and in training."""
    plain.copy_weights(randomise(layer), network)
    for training in (False, True):
        ours, theirs = (keras.tree.flatten(net(x, training=training)) for net in (layer, network))
        for a, b in zip(ours, theirs, strict=True):
            assert_same(a, b)


@pytest.mark.parametrize("k", [1, 2, 3, 4])
@pytest.mark.parametrize("sides", [(8, 8), (16, 24), None])
def test_hanc_layer_is_the_plain_one(k, sides, rng):
    x = keras.Input((*(sides or (None, None)), 6))
    network = keras.Model(x, plain.hanc(x, 5, k, "hanc"))
    layer = HANCLayer(5, k, name="hanc")
    keras.Model(x, layer(x))  # built on symbols, with sides that may be unknown
    compare(layer, network, images(rng, 2, *(sides or (8, 16)), 6))


@pytest.mark.parametrize("filters", [4, 9])
def test_hanc_block_is_the_plain_one(filters, rng):
    x = keras.Input((8, 12, 4))
    network = keras.Model(x, plain.hanc_block(x, filters, 3, 2, "block"))
    layer = HANCBlock(filters, 4, k=3, expansion=2, name="block")
    layer.build(x.shape)
    compare(layer, network, images(rng, 2, 8, 12, 4))


def test_res_path_is_the_plain_one(rng):
    x = keras.Input((7, 5, 8))
    network = keras.Model(x, plain.res_path(x, 3, "path"))
    layer = ResPath(3, name="path")
    layer.build(x.shape)
    compare(layer, network, images(rng, 2, 7, 5, 8))


@pytest.mark.parametrize("levels", [2, 4, 5])
def test_mlfc_layer_is_the_plain_one(levels, rng):
    widths = [3, 4, 5, 6, 7][:levels]
    x = [keras.Input((None, None, width)) for width in widths]
    maps = x
    for iteration in range(2):
        maps = plain.mlfc(maps, "mlfc", iteration)
    layer = MLFCLayer(widths, num_iterations=2, name="mlfc")
    assert [y.shape for y in layer(x)] == [y.shape for y in x]
    values = [images(rng, 2, 48 // 2**i, 32 // 2**i, width) for i, width in enumerate(widths)]
    compare(layer, keras.Model(x, maps), values)


@pytest.mark.parametrize("part", range(5))
def test_rows_of_the_kernel_are_part_after_part(part, rng):
    """The map, means of 2 x 2 and of 4 x 4, maxima of 2 x 2 and of 4 x 4, each with all its channels."""
    x = np.abs(images(rng, 1, 8, 4, 3))
    layer = HANCLayer(3, k=3)
    layer.build(x.shape)
    kernel = np.zeros((1, 1, 15, 3), "float32")
    kernel[0, 0, 3 * part : 3 * part + 3] = np.eye(3)
    layer.project.conv.kernel.assign(kernel)
    side, reduce = ((1, np.mean), (2, np.mean), (4, np.mean), (2, np.max), (4, np.max))[part]
    pooled = reduce(x.reshape(1, 8 // side, side, 4 // side, side, 3), axis=(2, 4))
    expected = pooled.repeat(side, axis=1).repeat(side, axis=2) / np.sqrt(1 + 1e-5)
    assert_same(layer(x), expected)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_a_pixel_reaches_its_aligned_block_and_no_further(k, rng):
    x = images(rng, 1, 16, 16, 4)
    layer = HANCLayer(4, k)
    changed = x.copy()
    changed[0, 6, 9] += 10
    different = np.any(ops.convert_to_numpy(layer(x) != layer(changed)), axis=(0, 3))
    side, block = 2 ** (k - 1), np.zeros((16, 16), bool)
    block[6 // side * side :, 9 // side * side :][:side, :side] = True
    np.testing.assert_array_equal(different, block)


def test_squeeze_excitation_by_hand(rng):
    x = images(rng, 2, 5, 4, 16)
    layer = SqueezeExcitation()
    layer.build(x.shape)
    randomise(layer)
    w1, b1, w2, b2 = (ops.convert_to_numpy(w) for w in (*layer.reduce.weights, *layer.restore.weights))
    gamma, beta, mean, variance = (ops.convert_to_numpy(w) for w in layer.norm.weights)
    assert w1.shape == (16, 2)
    hidden = x.mean(axis=(1, 2)) @ w1 + b1
    scales = 1 / (1 + np.exp(-(np.where(hidden > 0, hidden, 0.01 * hidden) @ w2 + b2)))
    y = (x * scales[:, None, None] - mean) / np.sqrt(variance + 1e-5) * gamma + beta
    assert_same(layer(x), np.where(y > 0, y, 0.01 * y))


def test_interleaved_kernels_are_sorted():
    """Part j of channel c moves from c * parts + j to j * channels + c."""
    parts, channels = 5, 4
    old = np.arange(parts * channels, dtype="float32").reshape(1, -1, 1, 1)
    new = part_by_part("cnv31.hnc.cnv.weight", old).ravel()
    assert all(new[j * channels + c] == c * parts + j for j in range(parts) for c in range(channels))
    assert part_by_part("mlfc2.cnv_mrg3.0.conv1.weight", old).ravel()[:3].tolist() == [0, 2, 4]
    for name in ("cnv31.hnc.cnv.bias", "cnv51.hnc.cnv.weight", "mlfc2.cnv_blks3.0.conv1.weight", "cnv31.conv1.weight"):
        assert part_by_part(name, old) is old


@pytest.mark.parametrize(
    ("layer", "shapes", "words"),
    [
        (HANCLayer(4, k=3), (1, 10, 16, 4), "multiples of 4.*nearest that work: 8 or 12 and 16"),
        (HANCLayer(4, k=5), (1, 8, 8, 4), "HANCLayer.k=5. halves.*nearest that work: 16 and 16.*smaller k"),
        (HANCLayer(4, k=2), (8, 8, 4), "batches of images"),
        (HANCBlock(4, 3, k=3), (1, 8, 9, 3), "nearest that work: 8 and 8 or 12"),
        (HANCBlock(4, 3), (1, 8, 8, 5), "Input channels mismatch.*input_channels=3.*Pass input_channels=5"),
        (ResPath(1), (8, 8, 4), "batches of images"),
        (MLFCLayer([4, 8]), (1, 8, 8, 4), "takes a list of maps"),
        (MLFCLayer([4, 8]), [(1, 8, 8, 4)], "2 maps with .4, 8. channels"),
        (MLFCLayer([4, 8]), [(1, 8, 8, 4), (1, 4, 4, 4)], "2 maps with .4, 8. channels"),
        (MLFCLayer([4, 8]), [(1, 9, 8, 4), (1, 4, 4, 8)], "A side of 9 needs one of 4.5 below it"),
        (MLFCLayer([4, 8]), [(8, 8, 4), (4, 4, 8)], "batches of images"),
    ],
)
@pytest.mark.parametrize("symbolic", [False, True])
def test_errors(layer, shapes, words, symbolic):
    layer = type(layer).from_config(layer.get_config())
    make = (lambda shape: keras.KerasTensor(shape)) if symbolic else (lambda shape: ops.zeros(shape))
    x = [make(shape) for shape in shapes] if isinstance(shapes, list) else make(shapes)
    with pytest.raises(ValueError, match=words) as caught:
        layer(x)
    assert "Received: " in str(caught.value)


def test_a_built_layer_still_checks_its_input():
    layer = HANCLayer(4, k=2)
    layer(ops.zeros((1, 8, 8, 4)))
    with pytest.raises(ValueError, match="nearest that work: 6 or 8 and 8"):
        layer(ops.zeros((1, 7, 8, 4)))
