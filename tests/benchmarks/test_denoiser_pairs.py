import keras
import numpy as np
import pytest

from benchmarks import denoiser_pairs


@pytest.fixture
def photos(rng, monkeypatch):
    short = {"steps": 4, "warm_up": 1, "batch_size": 1, "patch": 16, "ema": 0.0}
    monkeypatch.setattr(denoiser_pairs, "SETTINGS", denoiser_pairs.SETTINGS | short)
    images = list(rng.integers(0, 256, (3, 32, 24, 1), dtype="uint8"))
    return {"train": images[:1], "bsd68": images[1:]}


def test_doing_nothing_scores_what_the_noise_says(photos):
    nothing = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Activation("linear")])
    found = denoiser_pairs.scores(nothing, photos["bsd68"])
    assert list(found) == [str(sigma) for sigma in denoiser_pairs.SIGMAS]
    for sigma, values in found.items():
        assert len(values) == 2
        np.testing.assert_allclose(values, 20 * np.log10(255 / int(sigma)), atol=0.5)


def test_a_run_is_told_and_the_plan_beside_it(photos, tmp_path):
    runs = [denoiser_pairs.run(10, use_bias, 3, photos) for use_bias in (True, False)]
    assert [one["use_bias"] for one in runs] == [True, False]
    assert runs[0]["psnr"] != runs[1]["psnr"]
    again = denoiser_pairs.run(10, False, 3, photos)
    assert again["psnr"] == runs[1]["psnr"]
    found = denoiser_pairs.described(tmp_path / "pairs.json", runs)
    assert [one["use_bias"] for one in found["runs"]] == [False, True]
    assert found["provenance"]["seed"] == [3]
    assert found["provenance"]["note"].startswith("2 of 16 runs of 142,112 weights")
