import keras
import numpy as np
import pytest

from dlt.convert import load_weights
from dlt.measure import macs
from dlt.models import ConvNeXtV1, ConvNeXtV2, create_convnext_v1, create_convnext_v2
from tests.helpers import only_in_the_whole_suite, randomise

# Parameters at 1000 classes and GMAC at 224 px, as published.
PUBLISHED = [
    (ConvNeXtV1, "tiny", 28_589_128, 4.456),
    (ConvNeXtV1, "small", 50_223_688, 8.684),
    (ConvNeXtV1, "base", 88_591_464, 15.355),
    (ConvNeXtV1, "large", 197_767_336, 34.361),
    (ConvNeXtV1, "xlarge", 350_196_968, 60.921),
    (ConvNeXtV2, "atto", 3_708_400, 0.547),
    (ConvNeXtV2, "femto", 5_233_240, 0.780),
    (ConvNeXtV2, "pico", 9_066_280, 1.367),
    (ConvNeXtV2, "nano", 15_623_800, 2.446),
    (ConvNeXtV2, "tiny", 28_635_496, 4.456),
    (ConvNeXtV2, "base", 88_717_800, 15.355),
    (ConvNeXtV2, "large", 197_956_840, 34.361),
    (ConvNeXtV2, "huge", 660_289_640, 114.92),
]
TINY = {"depths": (1, 1, 2, 1), "dims": (8, 16, 24, 32), "num_classes": 5}
each_version = pytest.mark.parametrize("cls", [ConvNeXtV1, ConvNeXtV2])


def images(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def test_every_variant_is_in_the_table():
    assert {(cls, variant) for cls, variant, *_ in PUBLISHED} == {
        (cls, variant) for cls in (ConvNeXtV1, ConvNeXtV2) for variant in cls.MODEL_VARIANTS
    }


@pytest.mark.parametrize(
    ("cls", "variant", "count", "giga"),
    PUBLISHED,
    ids=lambda v: v if isinstance(v, str) else getattr(v, "__name__", ""),
)
@pytest.mark.usefixtures("without_numbers")
def test_variant_has_the_published_size(cls, variant, count, giga):
    model = cls.from_variant(variant)
    assert model.count_params() == count
    assert abs(macs(model).giga - giga) < (0.0006 if giga < 100 else 0.006)  # half a unit in the last published digit
    assert model.name == f"{cls.__name__.lower()}_{variant}"


@pytest.mark.parametrize(
    ("side", "patch"), [(224, 4), (128, 4), (127, 2), (96, 2), (64, 2), (63, 1), (32, 1), (16, 1), (8, 1), (None, 4)]
)
@each_version
def test_patch_size_follows_the_image(cls, side, patch):
    model = cls(**TINY, input_shape=(side, side, 3))
    assert model.get_config()["patch_size"] == patch
    assert model.get_layer("stem_conv").kernel.shape[:2] == (patch, patch)


def test_patch_size_follows_the_shorter_side_and_can_be_set():
    assert ConvNeXtV2(**TINY, input_shape=(224, 64, 3)).get_config()["patch_size"] == 2
    assert ConvNeXtV2(**TINY, input_shape=(224, None, 3)).get_config()["patch_size"] == 4
    assert ConvNeXtV2(**TINY, input_shape=(32, 32, 3), patch_size=4).get_config()["patch_size"] == 4


@each_version
def test_stages_halve_the_image(cls):
    model = cls(**TINY, input_shape=(64, 96, 3))
    features = model.feature_extractor()(images(2, 64, 96, 3))
    assert [tuple(f.shape) for f in features] == [(2, 32, 48, 8), (2, 16, 24, 16), (2, 8, 12, 24), (2, 4, 6, 32)]


@each_version
def test_backbone_gives_the_last_feature_map(cls):
    full = randomise(cls(**TINY, input_shape=(64, 64, 3)))
    backbone = cls(**TINY, input_shape=(64, 64, 3), include_top=False)
    load_weights(backbone, full, skip=("head",))
    x = images(2, 64, 64, 3)
    last = full.feature_extractor().predict(x, verbose=0)[-1]
    np.testing.assert_allclose(backbone.predict(x, verbose=0), last, rtol=1e-5, atol=1e-5)


@each_version
@pytest.mark.parametrize("channels", [1, 3, 7])
def test_any_number_of_channels_and_any_size(cls, channels):
    model = cls(**TINY, input_shape=(None, None, channels))
    for height, width in ((32, 32), (45, 61), (33, 128)):
        assert model(images(1, height, width, channels)).shape == (1, 5)


@each_version
def test_activation_gives_probabilities(cls):
    model = cls(**TINY, input_shape=(32, 32, 3), classifier_activation="softmax")
    np.testing.assert_allclose(model.predict(images(3, 32, 32, 3), verbose=0).sum(-1), 1, rtol=1e-5)


@each_version
def test_drop_rates_grow_linearly_to_the_given_one(cls):
    model = cls(depths=(1, 2, 1, 1), dims=(4, 4, 4, 4), drop_path_rate=0.4, input_shape=(32, 32, 3))
    rates = [layer.drop_path_rate for layer in model.layers if "block" in layer.name]
    np.testing.assert_allclose(rates, [0, 0.1, 0.2, 0.3, 0.4])


@each_version
def test_regularizer_reaches_every_kernel(cls):
    model = cls(**TINY, input_shape=(32, 32, 3), kernel_regularizer=keras.regularizers.L2(1e-3))
    kernels = [weight for weight in model.weights if len(weight.shape) > 1]
    assert len(model.losses) == len(kernels)
    assert type(model).from_config(model.get_config()).losses


@each_version
def test_dropout_acts_in_training_only(cls):
    model = randomise(cls(**TINY, input_shape=(32, 32, 3), dropout_rate=0.5))
    x = images(2, 32, 32, 3)
    training = [keras.ops.convert_to_numpy(model(x, training=True)) for _ in range(2)]
    assert np.abs(training[0] - training[1]).max() > 0
    np.testing.assert_array_equal(*(keras.ops.convert_to_numpy(model(x, training=False)) for _ in range(2)))


@each_version
def test_small_or_flat_images_are_refused(cls):
    model = cls(**TINY, input_shape=(None, None, 3))
    for wrong, words in (
        (np.zeros((1, 31, 64, 3), "float32"), "at least 32"),
        (keras.Input((64, 31, 3)), "at least 32"),
        (np.zeros((64, 64, 3), "float32"), r"\(batch, height, width, channels\)"),
        (keras.Input((64, 3)), r"\(batch, height, width, channels\)"),
    ):
        with pytest.raises(ValueError, match=words) as caught:
            model(wrong)
        assert "Received: shape=" in str(caught.value)


def test_unknown_variant_is_refused():
    for create in (create_convnext_v1, create_convnext_v2):
        with pytest.raises(ValueError, match=r"one of 'tiny'|one of 'atto'") as caught:
            create("giant")
        assert "variant='giant'" in str(caught.value)


@each_version
@pytest.mark.skipif(keras.backend.backend() == "torch", reason="jit_compile is for TensorFlow and JAX")
def test_xla_trains(cls):
    if cls is ConvNeXtV1:
        only_in_the_whole_suite()
    model = cls(**TINY, input_shape=(32, 32, 3), drop_path_rate=0.2)
    x, y = images(8, 32, 32, 3), np.arange(8) % 5
    plain = model.predict(x, verbose=0)
    model.compile(
        "adamw", keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=True, steps_per_execution=1
    )
    np.testing.assert_allclose(model.predict(x, verbose=0), plain, rtol=1e-4, atol=1e-5)
    history = model.fit(x, y, epochs=8, verbose=0).history["loss"]
    assert np.all(np.isfinite(history))
    assert history[-1] < history[0]


@each_version
def test_mixed_precision_keeps_logits_in_float32(cls):
    model = cls(**TINY, input_shape=(32, 32, 3), dtype="mixed_float16")
    assert model.output.dtype == "float32"
    assert model.get_layer("stage_0_block_0").compute_dtype == "float16"
    again = type(model).from_config(model.get_config())
    assert again.get_layer("stage_0_block_0").branch[0].compute_dtype == "float16"


@pytest.mark.slow
@pytest.mark.parametrize("include_top", [True, False])
def test_equal_to_keras_applications(include_top):
    """Without top, theirs ends with the head's normalization, for which a classifier of ours has a place."""
    arguments = {"include_preprocessing": False, "classifier_activation": None, "pooling": "avg"}
    theirs = keras.applications.ConvNeXtTiny(
        weights=None, input_shape=(64, 64, 3), include_top=include_top, **arguments
    )
    randomise(theirs)
    ours = create_convnext_v1("tiny", input_shape=(64, 64, 3), patch_size=4)
    report = load_weights(ours, theirs, skip=() if include_top else ("head",))
    assert report.skipped.keys() == (set() if include_top else {"head/kernel", "head/bias"})
    if not include_top:
        backbone = create_convnext_v1("tiny", input_shape=(64, 64, 3), patch_size=4, include_top=False)
        report = load_weights(backbone, theirs, skip="head")
        assert (report.skipped, len(report.unused)) == ({}, 2)
        ours = keras.Model(ours.input, ours.get_layer("head_norm").output)
    x = images(2, 64, 64, 3)
    expected = theirs.predict(x, verbose=0)
    error = np.abs(ours.predict(x, verbose=0) - expected).max()
    print(f"largest difference {error:.1e} at values up to {np.abs(expected).max():.1f}")
    assert error < 1e-4
