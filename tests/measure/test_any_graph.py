"""Receptive fields of graphs that nobody here wrote: right, or "at most", or a clear error; never too small."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from dlt.measure import (
    effective_receptive_field,
    jacobian,
    local_filters,
    measured_receptive_field,
    receptive_field,
    translation_error,
)
from dlt.measure._propagate import propagate
from tests.helpers import WHOLE, randomise
from tests.measure import random_graphs

TENSORFLOW = keras.backend.backend() == "tensorflow"
GRAPHS = 40 if WHOLE else 20


def on_image(function, shape=(32, 32, 3)):
    images = keras.Input(shape)
    return randomise(keras.Model(images, function(images)))


def conv(kernel=3, strides=1, **kwargs):
    return layers.Conv2D(4, kernel, strides, padding="same", **kwargs)


@pytest.fixture
def float64():
    """Compute in 64 bits, so that an influence of 1e-11 shows."""
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    if keras.backend.backend() == "jax":
        import jax

        jax.config.update("jax_enable_x64", True)
    yield
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
    if keras.backend.backend() == "jax":
        jax.config.update("jax_enable_x64", False)


@pytest.mark.parametrize("start", range(0, GRAPHS if TENSORFLOW else 8, 4))
def test_random_graphs_agree_with_brute_force(start, float64):
    """More of them: python -m tests.measure.random_graphs FIRST LAST."""
    for seed in range(start, start + 4):
        found, text = random_graphs.verdict(seed)
        assert found != "silent", text


STEPS = [
    (3, 1, "same", 1),
    (3, 2, "same", 1),
    (15, 5, "same", 1),
    (4, 3, "valid", 1),
    (2, 7, "same", 1),
    (3, 1, "same", 4),
]


@pytest.mark.parametrize("seed", range(12))
def test_fixed_sides_have_the_numbers_of_that_very_side(seed):
    """Padding "same" depends on the side: the recursion for size, stride and offset, with the padding on this side."""
    rng = np.random.default_rng(seed)
    side = n = int(rng.integers(40, 131))
    size, stride, offset, stack = 1, 1, 0.0, []
    for index in rng.integers(0, len(STEPS), 4):
        k, s, padding, d = STEPS[index]
        reach = (k - 1) * d
        if padding == "valid" and n <= reach:
            continue
        new = -(-n // s) if padding == "same" else (n - reach - 1) // s + 1
        left = max((new - 1) * s + reach + 1 - n, 0) // 2 if padding == "same" else 0
        offset += stride * (reach / 2 - left)
        size, stride, n = size + reach * stride, stride * s, new
        pool = (
            layers.MaxPooling2D(k, s, padding) if d == 1 and k < 4 else layers.Conv2D(1, k, s, padding, dilation_rate=d)
        )
        stack.append(pool)
    field = receptive_field(keras.Sequential([keras.Input((side, side, 1)), *stack]))
    assert (field.size, field.stride, field.offset) == ((size, size), (stride, stride), (offset, offset))


def test_a_map_of_fixed_size_is_not_asked_about_larger_images():
    """On 64 pixels the field is cut, and on a larger image the resize would have another factor."""
    stack = [conv(5) for _ in range(9)]
    field = receptive_field(keras.Sequential([keras.Input((64, 64, 3)), layers.Resizing(32, 32), *stack]))
    assert field.height.cut
    assert field.stride == (None, None)
    assert "at least 64" in repr(field)


def widened(x):
    return layers.Concatenate()([conv(3)(x), x])


@pytest.mark.parametrize("activation", ["hard_swish", "mish", "glu"])
def test_channels_that_see_different_pixels(activation):
    field = receptive_field(on_image(lambda x: layers.Activation(activation)(layers.Concatenate()([widened(x), x]))))
    assert (field.size, field.at_most) == ((3, 3), False)
    split = on_image(lambda x: layers.Conv2D(14, 3, padding="same", groups=7)(widened(x)), (16, 16, 3))
    assert receptive_field(split).size == (5, 5)
    multiplied = on_image(lambda x: layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2)(widened(x)))
    assert receptive_field(multiplied).size == (5, 5)


@pytest.mark.parametrize("name", ["RandomFlip", "RandomRotation", "RandomContrast", "RandomZoom", "Dropout"])
def test_what_is_random_in_training_is_not_at_inference(name):
    layer = getattr(layers, name)(*() if name == "RandomFlip" else (0.2,))
    for model in (on_image(lambda x: conv()(layer(x))), on_image(keras.Sequential([layer, conv()]))):
        assert receptive_field(model).size == (3, 3)


class Shuffle(layers.Layer):
    """Gives something else every time."""

    def __init__(self):
        super().__init__()
        self.seeds = keras.random.SeedGenerator(0)

    def call(self, x):
        return ops.image.affine_transform(x, keras.random.normal((1, 8), seed=self.seeds), data_format="channels_last")

    def compute_output_shape(self, shape):
        return shape


def test_what_is_random_at_inference_is_at_most_everything():
    field = receptive_field(on_image(lambda x: Shuffle()(conv()(x)), (12, 12, 1)))
    assert field.at_most
    assert field.interval(4, 4) == ((0, 11), (0, 11))
    assert "at most" in repr(field)


MOVED = {
    "moveaxis": (
        lambda x: ops.moveaxis(ops.average_pool(ops.moveaxis(x, -1, 1), 3, 1, "same", "channels_first"), 1, -1),
        3,
    ),
    "stack": (lambda x: ops.stack([x, x], 1)[:, 0], 1),
    "stack of channels": (lambda x: ops.stack([x[..., 0], x[..., 1]], -1), 1),
    "ConvLSTM2D": (lambda x: layers.ConvLSTM2D(2, 3, padding="same")(ops.expand_dims(x, 1)), 3),
    "output padding": (lambda x: layers.Conv2DTranspose(2, 3, 2, padding="same", output_padding=1)(x), 2),
    "coordinates": (lambda x: ops.concatenate([conv()(x), np.zeros((1, 16, 16, 2), "float32")], -1), 3),
    "a mask": (lambda x: ops.where(np.eye(16, dtype=bool)[..., None], x, layers.Conv2D(3, 5, padding="same")(x)), 5),
}


@pytest.mark.parametrize("name", MOVED)
def test_moved_axes_and_changed_ranks(name):
    function, size = MOVED[name]
    assert receptive_field(on_image(function, (16, 16, 3))).size == (size, size)


class ClassToken(layers.Layer):
    def build(self, shape):
        self.token = self.add_weight(shape=(1, 1, shape[-1]))

    def call(self, x):
        return ops.concatenate([ops.broadcast_to(self.token, (ops.shape(x)[0], 1, x.shape[-1])), x], 1)


def test_a_class_token_sees_nothing():
    model = on_image(lambda x: ClassToken()(layers.Reshape((16, 8))(layers.Conv2D(8, 8, 8)(x))))
    field = receptive_field(model)
    assert field.interval() == ((0, 31), (0, 31))
    token = keras.Model(model.inputs, model.output[:, 0])
    assert receptive_field(token).interval() == (None, None)


@pytest.mark.parametrize("largest", [lambda x: ops.top_k(x, 3)[0], lambda x: ops.cast(ops.argmax(x, -1), "float32")])
def test_what_depends_on_one_pixel_at_a_time_sees_all(largest):
    field = receptive_field(on_image(lambda x: largest(ops.reshape(x, (-1, 24 * 24))), (24, 24, 1)))
    assert field.whole
    assert field.interval() == ((0, 23), (0, 23))


class Computed(layers.Layer):
    """A convolution whose kernel is computed from the image: from a few pixels of it, or from all."""

    def __init__(self, convolve, few):
        super().__init__()
        self.convolve, self.few = convolve, few

    def call(self, x):
        kernel = x[0, 5:8, 5:8] if self.few else ops.multiply(ops.ones((3, 3, 2)), ops.mean(x))
        return self.convolve(x, kernel[..., None], padding="same")


@pytest.mark.parametrize("convolve", [ops.conv, ops.depthwise_conv])
def test_a_computed_kernel_is_seen_as_well(convolve):
    few, all_pixels = (receptive_field(on_image(Computed(convolve, few), (16, 16, 2))) for few in (True, False))
    assert few.interval(12, 1) == ((5, 13), (0, 7))
    assert all_pixels.interval(12, 1) == ((0, 15), (0, 15))
    assert all_pixels.whole
    assert not all_pixels.probed
    assert not few.whole


class Kernels(layers.Layer):
    """Convolves its own weight, which is no image, with kernels computed from the image."""

    def build(self, shape):
        self.map = self.add_weight(shape=(1, *shape[1:]), initializer="ones")

    def call(self, x):
        kernel = ops.multiply(ops.ones((3, 3, 2, 2)), ops.mean(x[:, :4]))
        found = [ops.conv(self.map, kernel), ops.depthwise_conv(self.map, kernel)[..., :2]]
        return sum([*found, ops.conv_transpose(self.map, kernel)[:, 2:-2, 2:-2]])


def test_a_map_that_is_no_image_is_seen_through_its_kernel():
    field = receptive_field(on_image(Kernels(), (8, 8, 2)))
    assert field.interval() == ((0, 3), (0, 7))
    transposed = on_image(
        lambda x: ops.conv_transpose(x, ops.multiply(ops.ones((3, 3, 2, 2)), ops.mean(x)), padding="same"), (8, 8, 2)
    )
    assert receptive_field(transposed).whole


def test_what_fills_a_map_is_seen():
    filled = on_image(lambda x: ops.full_like(x, ops.roll(x, 2, 1)), (8, 8, 1))
    assert receptive_field(filled).interval(5, 5) == ((3, 3), (5, 5))
    rows = receptive_field(on_image(lambda x: ops.multi_hot(x[..., 0], 4), (8, 8, 1)))
    assert [(rows.height.first[0], rows.height.last[0]), rows.width.size] == [(0, 7), 8]


class Positions(layers.Layer):
    """Adds up something of where the image is positive, or not zero: its positions, or how many there are."""

    def __init__(self, of):
        super().__init__()
        self.of = of

    def call(self, x):
        return ops.sum(ops.cast(self.of(x), "float32"), keepdims=True) + x[:, :1, :1]

    def compute_output_spec(self, x):
        return keras.KerasTensor((x.shape[0], 1, 1, 1), dtype="float32")


POSITIONS = [lambda x: ops.nonzero(x)[1], lambda x: ops.where(x > 0)[1], lambda x: 3.0 * ops.all(x)]


@pytest.mark.parametrize("of", POSITIONS)
def test_positions_of_what_is_not_zero_see_all(of):
    field = receptive_field(keras.Sequential([keras.Input((6, 6, 1)), Positions(of)]), input_shape=(6, 6, 1))
    assert field.interval() == ((0, 5), (0, 5))


class Segments(layers.Layer):
    """Sums rows by an index that depends on the image: 0 for rows near zero, 3 for all others."""

    def call(self, x):
        index = 3 * ops.cast(ops.sum(ops.abs(x[0]), (1, 2)) > 1, "int32")
        return ops.segment_sum(x[0], index, num_segments=4)[None]


def test_thresholds_are_crossed_from_below():
    model = keras.Sequential([keras.Input((6, 6, 1)), layers.Lambda(Segments().call, output_shape=(4, 6, 1))])
    field = receptive_field(model, input_shape=(6, 6, 1))
    assert [(field.height.first[at], field.height.last[at]) for at in (0, 3)] == [(0, 5), (0, 5)]
    assert field.probed


class Choice(layers.Layer):
    """Takes one of two branches."""

    def __init__(self):
        super().__init__()
        self.small, self.large = conv(3), conv(7)

    def build(self, shape):
        self.small.build(shape)
        self.large.build(shape)

    def call(self, x):
        return ops.cond(x[0, 0, 5, 0] > 0, lambda: self.small(x), lambda: self.large(x))


def test_a_condition_sees_both_branches_and_what_it_looks_at():
    field = receptive_field(on_image(Choice(), (16, 16, 3)))
    assert field.interval(10, 10) == ((0, 13), (5, 13))
    assert field.interval(10, 1) == ((0, 13), (0, 5))


class Loop(layers.Layer):
    """A loop whose body uses a tensor from around it, so that it cannot be run alone."""

    def call(self, x):
        return ops.fori_loop(0, 3, lambda i, y: y + ops.roll(x, 1, 1), x)


def test_a_loop_is_probed_or_at_most():
    field = receptive_field(on_image(lambda x: conv()(Loop(name="loop")(x)), (16, 16, 1)))
    assert field.interval(8, 8) == ((6, 9), (7, 9))
    assert field.probed == ("loop",)


class OnBackend(layers.Layer):
    """Calls something that symbolic tensors cannot enter; a fresh weight hides what it reads."""

    def build(self, shape):
        self.layer = layers.Conv2D(shape[-1], 3, padding="same")
        self.layer.build(shape)
        self.gamma = self.add_weight(shape=(), initializer="zeros")

    def call(self, x):
        if isinstance(x, keras.KerasTensor):
            self.layer(x)
            raise TypeError("no numbers")
        return x + self.gamma * self.layer(x)

    def compute_output_spec(self, x):
        return keras.KerasTensor(x.shape, dtype=x.dtype)


def test_probing_sees_through_zero_weights_and_small_maps():
    images = keras.Input((None, None, 2))
    x = images
    for _ in range(5):
        x = layers.Conv2D(2, 3, 2, padding="same")(x)
    field = receptive_field(keras.Model(images, OnBackend(name="foreign")(x)))
    assert (field.size, field.stride, field.probed) == ((127, 127), (32, 32), ("foreign",))
    assert not field.whole


def test_no_nodes_are_left_behind():
    foreign = OnBackend()
    model = on_image(foreign, (8, 8, 2))
    for inner in (foreign, foreign.layer):
        before = len(inner._inbound_nodes), len(inner._outbound_nodes)
        receptive_field(model)
        assert (len(inner._inbound_nodes), len(inner._outbound_nodes)) == before


def test_causal_attention_sees_what_came_before():
    def attend(x):
        tokens = ops.reshape(x, (-1, 36, 2))
        return ops.reshape(
            layers.MultiHeadAttention(1, 2, name="attend")(tokens, tokens, use_causal_mask=True), (-1, 6, 6, 2)
        )

    field = receptive_field(on_image(attend, (6, 6, 2)))
    assert field.interval(2, 3)[0] == (0, 2)
    assert field.probed == ("attend",)


def first_channels(side=32):
    stack = [layers.Conv2D(4, 3, padding="same", data_format="channels_first") for _ in range(2)]
    return keras.Sequential([keras.Input((3, side, side)), *stack])


def test_channels_first_is_refused():
    model, image = first_channels(), np.zeros((3, 32, 32), "float32")
    for measure in (
        lambda: receptive_field(model),
        lambda: measured_receptive_field(model),
        lambda: effective_receptive_field(model, image[None]),
        lambda: translation_error(model, image[None], shifts=(1,)),
        lambda: local_filters(model, image, [(0, 0)]),
        lambda: jacobian(model, image),
    ):
        with pytest.raises(ValueError, match="takes the first axis of the image for its channels") as caught:
            measure()
        assert "Permute((3, 1, 2))" in str(caught.value)
    inside = keras.Sequential([keras.Input((32, 32, 3)), layers.Permute((3, 1, 2)), model])
    assert receptive_field(inside).size == (5, 5)


class Twins(keras.Model):
    def __init__(self):
        super().__init__()
        self.one, self.other = conv(3, name="conv"), conv(5, name="conv")

    def call(self, x):
        return self.other(self.one(x))


def test_equal_names_do_not_collide():
    model = Twins()
    model(np.zeros((1, 24, 24, 2), "float32"))
    for measure in (receptive_field, measured_receptive_field):
        assert measure(model, input_shape=(24, 24, 2)).size == (7, 7)
        with pytest.raises(ValueError, match="Several layers have this name"):
            measure(model, "conv", input_shape=(24, 24, 2))


def test_several_outputs_and_flat_steps_are_clear_errors():
    two = on_image(lambda x: [layers.ReLU()(x), layers.ReLU()(x)], (8, 8, 2))
    image = np.ones((8, 8, 2), "float32")
    for measure in (
        lambda: measured_receptive_field(two),
        lambda: effective_receptive_field(two, image[None]),
        lambda: local_filters(two, image, [(0, 0)]),
        lambda: jacobian(two, image),
    ):
        with pytest.raises(ValueError, match="has 2 outputs"):
            measure()
    rounded = on_image(ops.round, (8, 8, 2))
    with pytest.raises(ValueError, match="all zero, although its output depends"):
        measured_receptive_field(rounded)
    with pytest.raises(ValueError, match="No pixel has an influence"):
        effective_receptive_field(rounded, image[None])
    blank = on_image(lambda x: 0.0 * x, (8, 8, 2))
    assert measured_receptive_field(blank).size == (0, 0)
    assert receptive_field(on_image(ops.zeros_like, (8, 8, 2))).height.row("height")[1] == 0


def test_several_inputs_and_whole_numbers_are_clear_errors():
    image, other, x = keras.Input((8, 8, 2)), keras.Input((8, 8, 2)), np.ones((8, 8, 2), "float32")
    pair = keras.Model([image, other], image + ops.roll(other, 3, 1))
    for measure in (receptive_field, measured_receptive_field):
        with pytest.raises(ValueError, match="has 2 inputs"):
            measure(pair, input_shape=(8, 8, 2))
    for measure in (lambda: effective_receptive_field(pair, x[None]), lambda: jacobian(pair, x)):
        with pytest.raises(ValueError, match="has 2 inputs"):
            measure()
    assert receptive_field(keras.Model(image, pair([image, 0 * image + 1]))).size == (4, 1)
    images = keras.Input((8, 8, 2), dtype="uint8")
    eight_bits = keras.Model(images, conv()(layers.Rescaling(1 / 255)(images)))
    assert receptive_field(eight_bits).size == (3, 3)
    for measure in (
        lambda: measured_receptive_field(eight_bits),
        lambda: effective_receptive_field(eight_bits, x[None]),
        lambda: local_filters(eight_bits, x, [(0, 0)]),
        lambda: jacobian(eight_bits, x),
    ):
        with pytest.raises(ValueError, match="takes whole numbers, so it has no derivatives"):
            measure()


def test_the_centre_of_influence_is_that_of_the_exact_field(rng):
    """Five halvings with one pixel of padding on both sides: the middle output, 3 of 0 to 6, lies at 3 x 32."""
    stack = [layer for _ in range(5) for layer in (layers.ZeroPadding2D(1), layers.Conv2D(2, 3, 2))]
    model = keras.Sequential([keras.Input((224, 224, 1)), *stack])
    for weight in model.weights:
        weight.assign(np.full(weight.shape, 0.1))
    result = effective_receptive_field(model, rng.uniform(0.5, 1, size=(1, 224, 224, 1)))
    centroid = float(result.influence.sum(1) @ np.arange(224))
    assert result.centre == pytest.approx((96, 96), abs=1e-4)
    assert centroid == pytest.approx(96, abs=0.01)


def test_the_centre_does_not_mind_sums_over_the_image(rng):
    def gated(x):
        x = layers.Conv2D(2, 4, 4)(x)
        return x * ops.sigmoid(ops.mean(x, axis=(1, 2), keepdims=True))

    model = on_image(gated, (32, 32, 1))
    assert receptive_field(model).whole
    assert effective_receptive_field(model, rng.normal(size=(1, 32, 32, 1))).centre == (17.5, 17.5)


def test_zeros_around_what_sees_everything_see_nothing():
    model = on_image(lambda x: layers.ZeroPadding2D(1)(x + ops.mean(x, axis=(1, 2), keepdims=True)), (9, 9, 1))
    field = receptive_field(model)
    assert field.height.first.tolist() == [1 << 30, *[0] * 9, 1 << 30]
    assert field.interval(0, 5)[0] is None
    assert field.interval(1, 5) == ((0, 8), (0, 8))


@pytest.mark.parametrize("mode", ["reflect", "symmetric"])
def test_mirrored_borders_see_what_this_backend_puts_there(mode):
    """Where other backends mirror, Keras's "symmetric" repeats the last row on PyTorch."""
    images = keras.Input((6, 5, 1))
    model = keras.Model(images, ops.pad(images, [(0, 0), (2, 3), (0, 0), (0, 0)], mode))
    rows = np.broadcast_to(np.arange(6, dtype="float32")[:, None, None], (1, 6, 5, 1))
    field, source = receptive_field(model).height, ops.convert_to_numpy(model(rows))[0, :, 0, 0]
    assert field.first.tolist() == field.last.tolist() == source.tolist()


def test_a_turned_map_has_no_channels_first():
    def turned(x):
        x = ops.swapaxes(x, 1, 2)
        return layers.GroupNormalization(-1)(layers.Concatenate()([x, conv()(x)]))

    field = receptive_field(on_image(turned, (9, 12, 2)))
    assert field.whole
    assert (len(field.height.first), len(field.width.first)) == (12, 9)


GATES = {  # a map with zeros around it, times what sees the whole image
    "times": lambda x, gate: x * gate,
    "over": lambda x, gate: x / (gate + 1),
    "einsum": lambda x, gate: ops.einsum("bhwc,bc->bhwc", x, gate[:, 0, 0]),
    "matmul": lambda x, gate: ops.matmul(x, ops.swapaxes(gate, 2, 3)),
    "glu": lambda x, gate: ops.glu(ops.concatenate([x, gate + 0 * x], -1)),
}


@pytest.mark.parametrize("name", GATES)
def test_zeros_times_what_sees_everything_see_at_most_everything(name):
    def gated(x, widths):
        padded = layers.ZeroPadding2D(widths)(layers.Conv2D(2, 3, padding="same")(x))
        return GATES[name](padded, ops.sigmoid(ops.mean(padded, axis=(1, 2), keepdims=True)))

    field = receptive_field(on_image(lambda x: gated(x, 2), (9, 9, 1)))
    assert field.whole
    assert field.at_most
    assert field.rows()[1][1] == "at most whole image"
    certain = receptive_field(on_image(lambda x: gated(x, 0), (9, 9, 1)))
    assert certain.whole
    assert not certain.at_most


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="on PyTorch, Keras infers shapes from a batch of 83")
def test_a_class_token_times_the_others_is_no_zero():
    class Token(layers.Layer):
        def build(self, input_shape):
            self.token = self.add_weight(shape=(1, 1, input_shape[-1]))

        def call(self, x):
            tokens = ops.concatenate([self.token, ops.reshape(x, (1, 81, 2))], 1)
            return ops.matmul(ops.softmax(ops.matmul(tokens, ops.swapaxes(tokens, 1, 2))), tokens)

    field = receptive_field(on_image(lambda x: Token()(x), (9, 9, 2)))
    assert field.whole
    assert not field.at_most


@pytest.mark.parametrize(
    ("interpolation", "sides", "doubt"),
    [
        ("bilinear", (19, 27), True),
        ("bilinear", (9, 18), False),
        ("nearest", (19, 27), False),
        ("bicubic", (9, 18), False),
    ],
)
def test_a_weight_like_a_rounding_error_counts_and_is_said(interpolation, sides, doubt):
    """In row 13 of 27 the position is 9, and pixel 10 has no weight: but in float32 it is 9.000001.

    So it is on TensorFlow; JAX and PyTorch give the pixel no weight, and there nothing is in doubt.
    """
    before, after = sides
    model = on_image(lambda x: ops.image.resize(x, (after, 4), interpolation, antialias=True), (before, 4, 1))
    field = receptive_field(model)
    image = np.zeros((before, before, 4, 1), "float32")
    image[np.arange(before), np.arange(before)] = 1
    used = ops.convert_to_numpy(model(image)).any((2, 3)).T  # (position, pixel)
    assert field.height.at_most == (doubt and used[13, 10])
    assert (field.height.first == used.argmax(1)).all()
    assert (field.height.last == before - 1 - used[:, ::-1].argmax(1)).all()


def test_a_row_reads_the_axes_apart():
    trace = propagate(on_image(lambda x: ops.cumsum(x, 1), (8, 8, 1)), (1, 8, 8, 1))
    height, width = trace.outputs[0]
    assert height.last.ravel().tolist() == width.last.ravel().tolist() == list(range(8))
    assert height.first.ravel().tolist() == [0] * 8


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="other backends run loops without compiling them")
def test_loops_that_jax_would_compile_thousands_of_times_are_not_tried():
    rows = layers.TimeDistributed(layers.LSTM(2, return_sequences=True))
    field = receptive_field(on_image(lambda x: rows(x), (14, 14, 2)))
    assert field.at_most
    assert field.unknown == (rows.name,)
