import importlib

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers, ops

import dlt
from dlt.measure import measured_receptive_field, receptive_field
from dlt.measure._rules import RULES
from tests.helpers import randomise


def model_of(*stack, shape=(40, 40, 2)):
    return randomise(keras.Sequential([keras.Input(shape), *stack]))


def conv(kernel=3, strides=1, padding="same", filters=3, **kwargs):
    return layers.Conv2D(filters, kernel, strides, padding, **kwargs)


KNOWN = {  # network: size, stride, offset
    "1x1": ([conv(1)], 1, 1, 0),
    "3x3": ([conv(3)], 3, 1, 0),
    "valid": ([conv(5, padding="valid")], 5, 1, 2),
    "even": ([conv(4)], 4, 1, 0.5),
    "stack of three": ([conv(3), layers.ReLU(), conv(3), layers.ReLU(), conv(3)], 7, 1, 0),
    "dilated": ([conv(3, dilation_rate=3)], 7, 1, 0),
    "dilated stack": ([conv(3, dilation_rate=1), conv(3, dilation_rate=2), conv(3, dilation_rate=4)], 15, 1, 0),
    "strided": ([conv(3, 2)], 3, 2, 1),  # 40 is even: the zero stands at the end
    "strided twice": ([conv(3, 2, "valid"), conv(3, 2, "valid")], 7, 4, 3),
    "patches": ([conv(4, 4)], 4, 4, 1.5),
    "stride beyond the kernel": ([conv(2, 5)], 2, 5, 0.5),
    "pooled": ([conv(3), layers.MaxPooling2D(2), conv(3)], 8, 2, 0.5),
    "average": ([layers.AveragePooling2D(3, 2, padding="same"), conv(3)], 7, 2, 1),
    "depthwise": ([layers.DepthwiseConv2D(7, padding="same"), layers.LayerNormalization(), layers.Dense(4)], 7, 1, 0),
    "separable": ([layers.SeparableConv2D(4, 5, padding="same")], 5, 1, 0),
    "padded": ([layers.ZeroPadding2D(((3, 0), (3, 0))), conv(3, padding="valid")], 3, 1, -2),
    "cropped": ([layers.Cropping2D(5), conv(3)], 3, 1, 5),
    "nearest": ([layers.UpSampling2D(3)], 1, 1 / 3, -1 / 3),
    "bilinear": ([layers.UpSampling2D(2, interpolation="bilinear")], 2, 0.5, -0.25),
    "transposed": ([layers.Conv2DTranspose(2, 2, 2)], 1, 0.5, -0.25),
    "transposed, overlapping": ([layers.Conv2DTranspose(2, 3, 1, padding="same")], 3, 1, 0),
    "normalized": ([layers.BatchNormalization(), layers.Dropout(0.5), layers.Activation("gelu")], 1, 1, 0),
    "grouped": ([conv(3, filters=4, groups=2), layers.BatchNormalization(scale=False)], 3, 1, 0),
    "rescaled": ([layers.Rescaling(1 / 255), conv(3)], 3, 1, 0),
    "nested": ([keras.Sequential([conv(3), keras.Sequential([conv(5)])]), conv(3)], 9, 1, 0),
    "ConvNeXt V1 block": ([dlt.layers.ConvNeXtV1Block()], 7, 1, 0),
}
WHOLE = {
    "global average": [conv(3), layers.GlobalAveragePooling2D()],
    "global maximum": [conv(3), layers.GlobalMaxPooling2D(keepdims=True)],
    "dense": [conv(3, 2), layers.Flatten(), layers.Dense(2)],
    "group normalization": [conv(4, filters=4), layers.GroupNormalization(2)],
    "layer normalization over the image": [layers.LayerNormalization(axis=(1, 2, 3))],
    "global response normalization": [dlt.layers.GlobalResponseNormalization()],
    "ConvNeXt V2 block": [dlt.layers.ConvNeXtV2Block()],
}


@pytest.mark.parametrize("name", KNOWN)
def test_known_answers(name):
    stack, size, stride, offset = KNOWN[name]
    field = receptive_field(model_of(*stack))
    assert field.size == (size, size)
    assert field.stride == (pytest.approx(stride), pytest.approx(stride))
    assert field.offset == (pytest.approx(offset), pytest.approx(offset))
    assert not field.whole
    assert not field.probed


@pytest.mark.parametrize("name", WHOLE)
def test_whole_images(name):
    model = model_of(*WHOLE[name])
    field = receptive_field(model)
    assert field.whole
    assert not field.probed
    assert field.interval() == ((0, 39), (0, 39)) == measured_receptive_field(model, draws=48).interval()
    assert "whole image" in repr(field)


def test_height_and_width_are_separate():
    field = receptive_field(model_of(conv((3, 7), strides=(1, 2)), shape=(30, 60, 1)))
    assert (field.size, field.stride) == ((3, 7), (1, 2))
    pooled = model_of(layers.Lambda(lambda x: x - ops.mean(x, axis=1, keepdims=True), name="remove_mean"))
    field = receptive_field(pooled)
    assert (field.height.whole, field.width.whole, field.whole) == (True, False, False)
    assert field.interval(5, 6) == ((0, 39), (6, 6))


def test_borders_are_exact():
    field = receptive_field(model_of(conv(3, dilation_rate=4), conv(3, dilation_rate=4)))
    assert field.interval(2, 20) == ((2, 10), (12, 28))  # not 0: what lies in the gaps of the kernel is not seen
    only_padding = receptive_field(model_of(layers.ZeroPadding2D(2)))
    assert only_padding.interval(1, 10) == (None, (8, 8))
    assert only_padding.size == (1, 1)


def test_same_padding_depends_on_the_size():
    even, odd = (receptive_field(model_of(conv(3, 2), shape=(side, side, 1))) for side in (40, 41))
    assert (even.offset, odd.offset) == ((1, 1), (0, 0))


def unet(depth=2, blocks=1, block=lambda: conv(3), interpolation="bilinear"):
    x = images = keras.Input((None, None, 2))
    skips = []
    for _ in range(depth):
        for _ in range(blocks):
            x = block()(x)
        skips.append(x)
        x = layers.Conv2D(3, 2, 2)(x)
    for _ in range(blocks):
        x = block()(x)
    for skip in reversed(skips):
        x = layers.UpSampling2D(2, interpolation=interpolation)(x)
        x = layers.Dense(3)(layers.Concatenate()([x, skip]))
        for _ in range(blocks):
            x = block()(x)
    return randomise(keras.Model(images, layers.Dense(1)(x)))


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_unet_differs_from_phase_to_phase(interpolation):
    model = unet(interpolation=interpolation)
    field = receptive_field(model)
    assert field.stride == (1, 1)
    middle = field.height.side // 2
    sizes = set()
    for row in range(middle, middle + 4):
        measured = measured_receptive_field(model, input_shape=(64, 64, 2), position=(row, row), draws=2)
        assert measured.interval() == field.interval(row, row)
        sizes.add(measured.size)
    assert field.size == max(sizes)


@pytest.mark.slow
def test_the_published_numbers_of_a_convunext():
    """FACTS of the wiring, not of the weights: stem 7, D levels of B blocks, bottleneck, and bilinear decoder."""
    for depth, blocks, bottleneck, output in ((3, 2, 194, 298), (4, 3, 580, 884)):
        x = images = keras.Input((None, None, 1))
        x, skips = layers.DepthwiseConv2D(7, padding="same")(x), []
        for _ in range(depth):
            x = keras.Sequential([layers.DepthwiseConv2D(7, padding="same") for _ in range(blocks)])(x)
            skips.append(x)
            x = layers.Conv2D(1, 2, 2)(x)
        for i in range(blocks):
            x = layers.DepthwiseConv2D(7, padding="same", name=f"bottleneck_{i}")(x)
        for skip in reversed(skips):
            x = layers.Concatenate()([layers.UpSampling2D(interpolation="bilinear")(x), skip])
            x = layers.Conv2D(1, 1)(x)
            x = keras.Sequential([layers.DepthwiseConv2D(7, padding="same") for _ in range(blocks)])(x)
        model = keras.Model(images, x)
        assert receptive_field(model, f"bottleneck_{blocks - 1}").size == (bottleneck, bottleneck)
        assert receptive_field(model).size == (output, output)
        assert bottleneck == 7 + (2**depth - 1) + 6 * blocks * (2 ** (depth + 1) - 1)


# Size, stride and offset from google-research/receptive_field, RECEPTIVE_FIELD_TABLE.md (Araujo et al. 2019, Computing
# Receptive Fields of Convolutional Neural Networks): offset = (size - 1) / 2 - padding. ResNets have offset 2 there,
# since TF-Slim pads at the end on even sides (padding "same"); Keras pads both ends alike, and its offset is 0.
PUBLISHED = {
    "VGG16": (212, 15.5),
    "VGG19": (268, 15.5),  # not in the table: three more convolutions, of 3 x 3 at strides 4 to 16
    "MobileNet": (315, 31),
    "ResNet50": (483, 0),
    "ResNet101": (1027, 0),
    "ResNet152": (1507, 0),
    "InceptionV3": (1311, 37),
    "InceptionResNetV2": (3039, 37),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_published_networks(name):
    model = getattr(keras.applications, name)(weights=None, include_top=False, input_shape=(None, None, 3))
    field = receptive_field(model)
    size, offset = PUBLISHED[name]
    assert field.size == (size, size)
    assert field.stride == (32, 32)
    assert field.offset == (offset, offset)
    assert not field.probed
    assert not field.at_most


def test_the_published_alexnet():
    """TF-Slim's alexnet_v2 up to pool5, from the same table: 195, 32, and padding 64."""
    pool = [layers.MaxPooling2D(3, 2) for _ in range(3)]
    three = [conv() for _ in range(3)]
    field = receptive_field(
        model_of(conv(11, 4, "valid"), pool[0], conv(5), pool[1], *three, pool[2], shape=(224, 224, 3))
    )
    assert (field.size, field.stride, field.offset) == ((195, 195), (32, 32), ((195 - 1) / 2 - 64,) * 2)


def test_layers_inside_are_reached_by_their_path():
    inner = keras.Sequential([conv(3, name="first"), conv(3, name="second")], name="inner")
    model = model_of(inner, dlt.layers.ConvNeXtV1Block(name="block"), dlt.layers.ConvNeXtV2Block(name="last"))
    for path, size in {"inner/first": 3, "inner": 5, "block/depthwise": 11, "block": 11, "last/norm": 17}.items():
        assert receptive_field(model, path).size == (size, size), path
        assert measured_receptive_field(model, path, draws=4).size == (size, size), path
    assert receptive_field(model, "last/grn").whole
    for function in (receptive_field, measured_receptive_field):
        with pytest.raises(ValueError, match="There is no layer of this name") as caught:
            function(model, "block/depthwize")
        assert "'block/depthwise'" in str(caught.value)


def test_convnext_on_its_own_size_and_beyond():
    model = dlt.models.ConvNeXtV1(depths=(1, 1, 1, 1), dims=(4, 4, 4, 4), input_shape=(64, 64, 3), patch_size=4)
    field = receptive_field(model, "stage_3_block_0")
    sizes = [4, 6 * 4, 4, 6 * 8, 8, 6 * 16, 16, 6 * 32]  # patches, block, halving, block, ...
    assert field.size == (sum(sizes), sum(sizes))
    assert field.stride == (32, 32)
    assert field.interval(0, 0)[0][0] == 0


def test_a_network_that_refuses_other_sizes_is_cut():
    field = receptive_field(model_of(conv(31), conv(31), layers.Reshape((40 * 40, 3)), layers.Reshape((40, 40, 3))))
    assert field.height.cut
    assert "at least 40" in repr(field)


class Gate(layers.Layer):
    """Squeeze and excitation, in raw operations, with a weight to the left of a tensor."""

    def build(self, input_shape):
        self.gate = self.add_weight(shape=(input_shape[-1],), name="gate")

    def call(self, x):
        return x * ops.sigmoid(self.gate * ops.mean(x, axis=(1, 2), keepdims=True))


class SpaceToChannels(layers.Layer):
    def call(self, x):
        _, h, w, c = x.shape
        x = ops.reshape(x, (-1, h // 2, 2, w // 2, 2, c))
        return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, h // 2, w // 2, 4 * c))


class Attention(layers.Layer):
    def build(self, input_shape):
        self.attend = layers.MultiHeadAttention(1, 2)
        tokens = (input_shape[0], input_shape[1] * input_shape[2], input_shape[3])
        self.attend.build(tokens, tokens)

    def call(self, x):
        tokens = ops.reshape(x, (-1, x.shape[1] * x.shape[2], x.shape[3]))
        return ops.reshape(self.attend(tokens, tokens), (-1, *x.shape[1:]))


class Difference(layers.Layer):
    """Has no rule: row i sees rows i and i + 1."""

    def call(self, x):
        return ops.diff(x, axis=1)


def test_custom_layers_are_read_down_to_their_operations():
    assert receptive_field(model_of(Gate())).whole
    model = model_of(SpaceToChannels(), conv(3))
    patches = receptive_field(model)
    assert (patches.size, patches.stride, patches.probed) == ((6, 6), (2, 2), ())
    assert patches.interval(5, 5) == measured_receptive_field(model, position=(5, 5)).interval()
    attention = keras.Sequential([keras.Input((8, 8, 2)), Attention()])
    assert receptive_field(attention, input_shape=(8, 8, 2)).interval(0, 0) == ((0, 7), (0, 7))


def test_what_has_no_rule_is_probed_and_said():
    field = receptive_field(model_of(conv(3), Difference(name="difference"), conv(3)))
    assert field.interval(10, 10) == ((8, 13), (8, 12))
    assert (field.size, field.stride, field.offset) == ((6, 5), (1, 1), (0.5, 0))
    assert len(field.probed) == 1
    assert "probed: difference/" in repr(field)
    assert not field.at_most
    resized = receptive_field(model_of(layers.Resizing(20, 20, name="resizing")))
    assert (resized.probed, resized.size) == (("resizing",), (2, 2))


def test_uneven_branches_have_no_pace_but_exact_intervals():
    images = keras.Input((40, 40, 2))
    joined = layers.Add()([layers.Cropping2D(10)(images), layers.MaxPooling2D()(images)])
    field = receptive_field(keras.Model(images, joined))
    assert field.stride == (None, None)
    assert field.interval(0, 10) == ((0, 10), (20, 21))


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.first, self.rest = conv(3), [conv(3, 2), conv(3)]

    def call(self, x):
        x = self.first(x)
        for layer in self.rest:
            x = layer(ops.relu(x))
        return x


def test_subclassed_models():
    model = Subclassed()
    model(np.zeros((1, 40, 40, 2)))
    randomise(model)
    field = receptive_field(model, input_shape=(40, 40, 2))
    assert (field.size, field.stride) == ((9, 9), (2, 2))
    assert measured_receptive_field(model, input_shape=(40, 40, 2), draws=48).interval() == field.interval()
    with pytest.raises(ValueError, match="does not tell the shape of its image"):
        receptive_field(model)


class Foreign(keras.Model):
    def call(self, x):
        return ops.convert_to_tensor(ops.convert_to_numpy(x) + 1)


def test_a_model_that_cannot_be_read_is_refused():
    with pytest.raises(ValueError, match="does not run on symbolic tensors"):
        receptive_field(Foreign(), input_shape=(8, 8, 1))


def test_several_outputs_want_a_name():
    images = keras.Input((16, 16, 1))
    first, second = conv(3, name="fine")(images), conv(3, 2, name="coarse")(images)
    model = keras.Model(images, [first, second])
    with pytest.raises(ValueError, match="has 2 outputs"):
        receptive_field(model)
    assert receptive_field(model, "coarse").stride == (2, 2)


@pytest.mark.slow
def test_reading_leaves_the_model_as_it_was():
    model = dlt.models.ConvNeXtV2(depths=(1, 1, 1, 1), dims=(4, 4, 4, 4), input_shape=(32, 32, 3))
    x = np.random.default_rng(0).normal(size=(1, 32, 32, 3))
    before, weights = model.predict(x, verbose=0), [w.path for w in model.weights]
    nodes = [(len(layer._inbound_nodes), len(layer._outbound_nodes)) for layer in model._flatten_layers()]
    receptive_field(model)
    measured_receptive_field(model, "stem_conv", draws=1)
    after = [(len(layer._inbound_nodes), len(layer._outbound_nodes)) for layer in model._flatten_layers()]
    assert nodes == after
    assert [w.path for w in model.weights] == weights
    np.testing.assert_array_equal(model.predict(x, verbose=0), before)


def test_measuring_is_about_the_weights_reading_about_the_wiring():
    """A fresh GRN is the identity: nothing of the image passes through gamma = 0."""
    fresh = keras.Sequential([keras.Input((20, 20, 2)), dlt.layers.GlobalResponseNormalization()])
    assert measured_receptive_field(fresh).size == (1, 1)
    assert receptive_field(fresh).whole


def test_tiny_influences_still_count():
    """Thirty 3 x 3 layers: the rim's influence is far below the rounding error of the output."""
    model = model_of(*[layers.DepthwiseConv2D(3, padding="same") for _ in range(30)], shape=(64, 64, 1))
    field = measured_receptive_field(model, draws=2)
    assert field.size == (61, 61) == receptive_field(model).size
    assert not field.cut


def test_every_rule_belongs_to_an_operation_of_keras():
    modules = ("ops.core", "ops.image", "ops.linalg", "ops.math", "ops.nn", "ops.numpy", "activations.activations")
    known = {name for module in modules for name in dir(importlib.import_module(f"keras.src.{module}"))}
    assert set(RULES) <= known | set(dir(layers))


STEPS = st.fixed_dictionaries(
    {
        "kind": st.integers(0, 11),
        "kernel": st.tuples(st.integers(1, 5), st.integers(1, 4)),
        "stride": st.integers(1, 3),
        "dilation": st.integers(1, 3),
        "padding": st.sampled_from(["same", "valid"]),
        "pads": st.tuples(*[st.integers(0, 3)] * 4),
        "flag": st.booleans(),
    }
)
NETWORKS = st.tuples(st.integers(9, 24), st.integers(9, 24), st.lists(STEPS, min_size=1, max_size=5))


def step(kind, kernel, stride, dilation, padding, pads, flag):
    """Return one layer, or two that meet again, as a function of a tensor."""
    k, d, pads = kernel[0], dilation if stride == 1 else 1, (pads[:2], pads[2:])
    return [
        lambda: layers.Conv2D(3, kernel, stride, padding, dilation_rate=d),
        lambda: layers.DepthwiseConv2D(kernel, stride, padding, dilation_rate=d),
        lambda: layers.SeparableConv2D(3, kernel, stride, padding),
        lambda: layers.MaxPooling2D(2, stride, padding),
        lambda: layers.AveragePooling2D(dilation, stride, padding),
        # (bilinear by 3 would leave weights of 1e-8 where the exact ones are 0, on some backends)
        lambda: layers.UpSampling2D(**({"size": stride} if flag else {"size": 2, "interpolation": "bilinear"})),
        lambda: layers.Conv2DTranspose(2, kernel, stride, padding),
        lambda: layers.ZeroPadding2D(pads),
        lambda: layers.Cropping2D(pads),
        lambda: keras.Sequential([layers.LayerNormalization(), conv(3), layers.Activation("gelu")]),
        lambda: dlt.layers.ConvNeXtV1Block(k),
        lambda: branches(kernel, dilation, flag),
    ][kind]()


def branches(kernel, dilation, add):
    def call(x):
        other = layers.Conv2D(x.shape[-1], kernel, padding="same", dilation_rate=dilation)(x)
        return layers.Add()([x, other]) if add else layers.Concatenate()([other, x])

    return call


def network(height, width, steps):
    """Build a network from its recipe; a step that leaves no map, or a huge one, is left out."""
    x = images = keras.Input((height, width, 2))
    for one in steps:
        reach = (max(one["kernel"]) - 1) * one["dilation"] + 1
        if min(x.shape[1:3]) > max(reach, 6) and max(x.shape[1:3]) <= 60:
            x = step(**one)(x)
    return randomise(keras.Model(images, x))


def disagreements(model, count=3, draws=64):
    """Return where exact and measured field differ, among a corner, the middle and random positions."""
    field = receptive_field(model, input_shape=model.input_shape[1:])
    assert not field.probed
    _, height, width, _ = model.output_shape
    rng, found = np.random.default_rng(height * width), []
    positions = [(0, 0), (height // 2, width // 2)]
    positions += [(int(rng.integers(height)), int(rng.integers(width))) for _ in range(count - 2)]
    for position in positions:
        exact = field.interval(*position)
        measured = measured_receptive_field(model, position=position, draws=draws).interval()
        if measured != ((None, None) if None in exact else exact):
            found.append((position, exact, measured))
    return found


@pytest.mark.slow
@settings(max_examples=20, deadline=None, derandomize=True)
@given(NETWORKS)
def test_exact_and_measured_agree_on_any_network(recipe):
    assert disagreements(network(*recipe)) == []
