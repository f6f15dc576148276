"""FCMAE: what is hidden stays hidden, the loss is what the paper says, and the encoder comes out as it is."""

import keras
import numpy as np
import pytest
from keras import ops

import dlt
from dlt.models import ConvNeXtV1, ConvNeXtV2, MaskedAutoencoder
from dlt.models._masks import RandomMask
from dlt.models.masked_autoencoder import encode, patchify, unpatchify

SMALL = {"depths": (1, 1), "dims": (8, 12), "include_top": False, "input_shape": (None, None, 3), "patch_size": 2}
STRIDE = 4


def randomised(model, seed=0):
    """Fresh weights hide what is wrong: GRN's gamma and all biases are zero."""
    rng = np.random.default_rng(seed)
    for weight in model.trainable_weights:
        weight.assign(rng.normal(scale=0.5, size=weight.shape))
    return model


@pytest.fixture(params=[ConvNeXtV1, ConvNeXtV2], ids=lambda cls: cls.__name__)
def encoder(request):
    return randomised(request.param(**SMALL))


@pytest.fixture
def images():
    return np.random.default_rng(1).normal(size=(2, 16, 24, 3)).astype("float32")


@pytest.fixture
def visible():
    return (np.random.default_rng(2).random((2, 4, 6, 1)) < 0.5).astype("float32")


def number(tensor):
    return float(ops.convert_to_numpy(tensor))


def spread(visible):
    return visible.repeat(STRIDE, axis=1).repeat(STRIDE, axis=2)


def test_no_hidden_pixel_reaches_a_visible_one(encoder, images, visible):
    """The control: the same network without the mask inside leaks, though its input is masked."""
    others = np.where(spread(visible) > 0, images, 100 * images[::-1])
    seen = [ops.convert_to_numpy(encode(encoder, ops.convert_to_tensor(x), visible, STRIDE)) for x in (images, others)]
    np.testing.assert_array_equal(seen[0] * visible, seen[1] * visible)
    leaks = [ops.convert_to_numpy(encoder(x)) for x in (images, others)]
    assert np.abs((leaks[0] - leaks[1]) * visible).max() > 1


def test_a_mask_that_hides_nothing_changes_nothing(encoder, images):
    seen = encode(encoder, ops.convert_to_tensor(images), np.ones((2, 4, 6, 1), "float32"), STRIDE)
    np.testing.assert_allclose(ops.convert_to_numpy(seen), ops.convert_to_numpy(encoder(images)), atol=1e-4)


def test_it_computes_what_a_sparse_convolution_does(images, visible):
    """Of one depthwise convolution, by hand: at a visible pixel, the sum over its visible neighbours."""
    block = dlt.layers.ConvNeXtV2Block(kernel_size=3)
    maps, mask = images[:1, :4, :6], visible[:1]
    randomised_block = randomised(block.build(maps.shape) or block)
    block.branch[1:] = [keras.layers.Identity()]
    found = ops.convert_to_numpy(block(maps, visible=mask)) - maps
    kernel, bias = [ops.convert_to_numpy(weight) for weight in randomised_block.branch[0].weights]
    for i, j in zip(*np.nonzero(mask[0, ..., 0]), strict=True):
        total = bias.copy()
        for a in range(max(i - 1, 0), min(i + 2, 4)):
            for b in range(max(j - 1, 0), min(j + 2, 6)):
                if mask[0, a, b, 0]:
                    total = total + maps[0, a, b] * kernel[a - i + 1, b - j + 1, :, 0]
        np.testing.assert_allclose(found[0, i, j], total, atol=1e-5)


def test_the_share_of_hidden_patches_is_the_same_in_each_image_and_the_places_are_not():
    mask = RandomMask(0.6, 4, seed=3)
    first, second = (ops.convert_to_numpy(mask(np.zeros((8, 32, 40, 3), "float32"))) for _ in range(2))
    assert first.shape == (8, 8, 10, 1)
    np.testing.assert_array_equal((first == 0).sum(axis=(1, 2, 3)), 48)
    assert (first != second).any()
    assert (first[0] != first[1]).any()


def test_the_loss_is_the_error_over_hidden_normalised_patches(encoder, images):
    model = MaskedAutoencoder(encoder, decoder_width=16, seed=0)
    found = {name: ops.convert_to_numpy(x) for name, x in model(images).items()}
    total, hidden = 0.0, 0
    for n, i, j in np.argwhere(found["visible"][..., 0] == 0):
        patch = images[n, 4 * i : 4 * i + 4, 4 * j : 4 * j + 4].ravel()
        total += np.mean(((patch - patch.mean()) / patch.std() - found["patches"][n, i, j]) ** 2)
        hidden += 1
    found = {name: ops.convert_to_tensor(x) for name, x in found.items()}
    assert hidden == 2 * round(0.6 * 24)
    np.testing.assert_allclose(float(model.compute_loss(images, None, found)), total / hidden, rtol=1e-4)
    constant = {**found, "patches": ops.zeros_like(found["patches"])}
    np.testing.assert_allclose(float(model.compute_loss(images, None, constant)), 1, atol=1e-3)


def test_patches_come_together_again(images):
    np.testing.assert_array_equal(ops.convert_to_numpy(unpatchify(patchify(images, 4), 4, images.shape)), images)


def test_fit_learns_from_images_alone_and_labels_are_not_looked_at():
    images = dlt.data.textures(train_per_class=16, test_per_class=1)[0][0]
    keras.utils.set_random_seed(0)
    encoder = ConvNeXtV2(**{**SMALL, "input_shape": (32, 32, 1)})
    model = MaskedAutoencoder(encoder, decoder_width=16, seed=0)
    model.compile(keras.optimizers.Adam(3e-3))
    before = encoder.get_weights()
    losses = model.fit(images, batch_size=32, epochs=8, verbose=0).history["loss"]
    assert losses[-1] < 0.97 * losses[0]
    assert any((old != new).any() for old, new in zip(before, encoder.get_weights(), strict=True))
    model.fit(images, np.zeros(len(images)), batch_size=64, epochs=1, verbose=0)
    assert np.isfinite(model.evaluate(images, verbose=0))


def test_it_is_saved_and_loaded_with_its_place_among_the_masks(encoder, images, tmp_path):
    model = MaskedAutoencoder(encoder, mask_ratio=0.5, decoder_width=16, seed=0)
    model(images)
    model.save(tmp_path / "autoencoder.keras")
    again = keras.saving.load_model(tmp_path / "autoencoder.keras")
    assert type(again.encoder) is type(encoder)
    assert again.encoder is not encoder
    for found, expected in zip(*(m(images).values() for m in (again, model)), strict=True):
        np.testing.assert_allclose(ops.convert_to_numpy(found), ops.convert_to_numpy(expected), atol=1e-5)
    features = [ops.convert_to_numpy(m.encoder(images)) for m in (again, model)]
    np.testing.assert_allclose(*features, atol=1e-5)


def test_a_training_goes_on_as_if_it_had_not_stopped(images, tmp_path):
    """With the masks that would have come, to the last bit; the control begins with the first ones again."""

    def trained(path, *epochs, forgets=False):
        for count in epochs:
            keras.utils.set_random_seed(1)
            model = MaskedAutoencoder(ConvNeXtV2(**SMALL), mask_ratio=0.5, decoder_width=8, seed=4)
            model.compile(keras.optimizers.AdamW(1e-2))
            done = dlt.training.resume(model, path)
            if forgets and done:
                generator = model.get_layer("mask").seed_generator
                generator.state.assign(np.array([4, 0], generator.state.dtype))
            plan = {"initial_epoch": done, "epochs": count, "batch_size": 1, "shuffle": False, "verbose": 0}
            model.fit(images, callbacks=[dlt.training.Checkpoint(path)], **plan)
        return model.get_weights()

    whole = trained(tmp_path / "whole.npz", 3)
    for one, other in zip(whole, trained(tmp_path / "broken.npz", 1, 3), strict=True):
        np.testing.assert_array_equal(one, other)
    forgotten = trained(tmp_path / "forgets.npz", 1, 3, forgets=True)
    assert max(np.abs(one - other).max() for one, other in zip(whole, forgotten, strict=True)) > 1e-4


def test_a_classifier_takes_the_encoder_from_the_file(encoder, images, tmp_path):
    MaskedAutoencoder(encoder, decoder_width=16).save(tmp_path / "autoencoder.keras")
    classifier = type(encoder)(**{**SMALL, "include_top": True, "num_classes": 3})
    report = dlt.convert.load_weights(classifier, tmp_path / "autoencoder.keras", skip=("head", "decoder"))
    assert len(report.loaded) == len(encoder.weights)
    found = keras.Model(classifier.input, classifier.get_layer("stage_1_block_0").output)(images)
    np.testing.assert_allclose(ops.convert_to_numpy(found), ops.convert_to_numpy(encoder(images)), atol=1e-4)


def test_reconstructions_keep_what_was_seen(encoder, images):
    model = MaskedAutoencoder(encoder, decoder_width=16)
    seen, filled = model.reconstruct(images)
    known = seen != 0
    assert 0.3 < known.mean() < 0.5
    np.testing.assert_allclose(filled[known], images[known], atol=1e-5)
    assert np.isfinite(filled).all()
    assert np.abs(filled - images)[~known].max() > 0.1


def test_regularizers_count(images):
    plain, heavy = (ConvNeXtV2(**SMALL, kernel_regularizer=kind) for kind in (None, keras.regularizers.L2(1.0)))
    heavy.set_weights(plain.get_weights())
    losses = []
    for encoder in (plain, heavy):
        model = MaskedAutoencoder(encoder, mask_ratio=0.5, decoder_width=16, seed=1)
        found = model(images)
        constant = {**found, "patches": ops.zeros_like(found["patches"])}
        losses.append(number(model.compute_loss(images, None, constant)))
    weights = [w for w in heavy.trainable_weights if w.path.endswith("kernel")]
    expected = sum(number(ops.sum(ops.square(w))) for w in weights)
    np.testing.assert_allclose(losses[1] - losses[0], expected, rtol=1e-3)


def test_what_is_no_encoder_or_no_multiple_is_refused():
    with pytest.raises(ValueError, match="a ConvNeXtV2 with its top"):
        MaskedAutoencoder(ConvNeXtV2(**{**SMALL, "include_top": True}))
    with pytest.raises(ValueError, match="include_top=False"):
        MaskedAutoencoder(keras.Sequential([keras.Input((8, 8, 3))]))
    with pytest.raises(ValueError, match="multiples of 4"):
        MaskedAutoencoder(ConvNeXtV2(**SMALL))(np.zeros((1, 16, 18, 3), "float32"))
