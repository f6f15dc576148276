"""The noise has the size it says, every patch its own, and the same seed gives the same batches."""

import keras
import numpy as np
import pytest

from dlt.data import NoisyPatches, photos


def pictures():
    return [photos(name)[name][..., :1] for name in ("camera", "brick")]


def test_noise_has_the_sigma_it_says_and_is_not_clipped():
    data = NoisyPatches(pictures(), sigma=(30, 30), size=64, batch_size=32, steps=2)
    noisy, clean = data[0]
    assert noisy.shape == clean.shape == (32, 64, 64, 1)
    assert noisy.dtype == clean.dtype == np.float32
    noise = 255 * (noisy - clean)
    assert abs(noise.std() - 30) < 3 * 30 / np.sqrt(2 * noise.size)  # three standard errors
    assert abs(noise.mean()) < 3 * 30 / np.sqrt(noise.size)
    assert noisy.min() < 0
    assert clean.min() >= 0
    assert clean.max() <= 1


def test_every_patch_has_its_own_level():
    noisy, clean = NoisyPatches(pictures(), sigma=(0, 55), batch_size=200, size=32)[0]
    levels = 255 * (noisy - clean).std(axis=(1, 2, 3))
    assert 0 <= levels.min() < 5
    assert 50 < levels.max() < 60
    assert abs(levels.mean() - 27.5) < 4


def test_batches_depend_on_seed_epoch_and_index_alone():
    first, second = (NoisyPatches(pictures(), size=16, seed=3) for _ in range(2))
    expected = [first[i][0] for i in range(3)]
    for i in (2, 0, 1):  # in any order
        np.testing.assert_array_equal(second[i][0], expected[i])
    second.on_epoch_end()
    assert (second[0][0] != expected[0]).any()
    assert (NoisyPatches(pictures(), size=16, seed=4)[0][0] != expected[0]).any()


def test_patches_are_cut_from_the_photo():
    photo = np.arange(100, dtype="uint8").reshape(10, 10, 1)
    _, clean = NoisyPatches([photo], sigma=(0, 0), size=10, batch_size=64)[0]
    kinds = {tuple(np.rint(255 * patch).astype(int).ravel()) for patch in clean}
    assert kinds == {
        tuple(np.rot90(flipped, turns).ravel().tolist()) for flipped in (photo, photo[:, ::-1]) for turns in range(4)
    }


def test_a_model_trains_on_it():
    model = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(1, 3, padding="same")])
    model.compile("adam", "mse")
    history = model.fit(NoisyPatches(pictures(), size=16, steps=5), epochs=3, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]


def test_bad_arguments():
    with pytest.raises(ValueError, match="Invalid `sigma`"):
        NoisyPatches(pictures(), sigma=(10, 5))
    with pytest.raises(ValueError, match="steps=0"):
        NoisyPatches(pictures(), steps=0)
    with pytest.raises(ValueError, match="at least 600"):
        NoisyPatches(pictures(), size=600)
    with pytest.raises(ValueError, match="sigma=25"):
        NoisyPatches(pictures(), sigma=25)
    for name in ("seed", "epoch"):
        for value in (-1, 1.0, None):
            with pytest.raises(ValueError, match=f"Invalid `{name}`.*{name}={value}"):
                NoisyPatches(pictures(), **{name: value})


def test_whatever_stores_a_photo_it_is_the_same_photo():
    """16-bit photos would be too bright and floats black, if all were divided by 255."""
    expected = NoisyPatches(pictures(), size=16)[0]
    wide = [photo.astype("uint16") * 257 for photo in pictures()]
    real = [photo / 255 for photo in pictures()]
    for photos_ in (wide, real, [real[0].astype("float32"), wide[1]]):
        for one, other in zip(NoisyPatches(photos_, size=16)[0], expected, strict=True):
            assert one.dtype == np.float32
            np.testing.assert_allclose(one, other, atol=1e-6)


def test_what_is_no_photo_is_refused():
    photo = pictures()[0]
    for bad in (photo.astype("float32"), photo.astype("int64"), photo - 0.5, photo / 255 * np.nan, photo > 7):
        with pytest.raises(ValueError, match="cannot tell which value is white"):
            NoisyPatches([photo, bad])
    for bad in ([photo[..., 0]], [photo[None]], photo):
        with pytest.raises(ValueError, match=r"one image. Expected shape \(height, width, channels\)"):
            NoisyPatches(bad)
    with pytest.raises(ValueError, match=r"equally many channels. Received: \[1, 3\]"):
        NoisyPatches([photo, np.repeat(photo, 3, -1)])
    with pytest.raises(ValueError, match=r"list\(images\.values\(\)\)"):
        NoisyPatches(photos("camera"))
    with pytest.raises(ValueError, match="at least one image"):
        NoisyPatches([])
