"""The classical methods beside the package's denoiser: they denoise, grey and in colour, and their rows are stored."""

import importlib.util

import numpy as np
import pytest

import dlt
from benchmarks.denoise import noisy, psnr
from benchmarks.denoise_classical import METHODS, SIGMAS

has_wavelets = pytest.mark.skipif(importlib.util.find_spec("pywt") is None, reason="pip install PyWavelets")
METHODS = [pytest.param(method, marks=has_wavelets if "wavelets" in name else ()) for name, method in METHODS.items()]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("method", METHODS)
def test_noise_is_taken_away(method, channels):
    photo = dlt.data.photos("coffee")["coffee"][60:140, 180:280]
    photo = photo if channels == 3 else photo.mean(-1, keepdims=True).astype("uint8")
    given = noisy(photo, 25, 0)
    answer = method(given.astype("float64"), 25)
    assert answer.shape == given.shape
    clean = photo / 255
    assert psnr(clean, np.asarray(answer)) > psnr(clean, given) + 4


def test_their_rows_stand_beside_those_of_the_denoiser():
    shipped, classical = (dlt.show.stored(f"denoising_{name}_cpu") for name in ("shipped", "classical"))
    assert "bsd68" in classical
    for name in classical.keys() - {"provenance"}:
        assert classical[name]["images"] == shipped[name]["images"]
        ours = shipped[name]["psnr"]["one view"]
        assert len(classical[name]["psnr"]) == 2
        for row in classical[name]["psnr"].values():
            assert all(row[str(sigma)] < ours[str(sigma)] for sigma in SIGMAS)
