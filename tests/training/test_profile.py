import keras
import numpy as np
import pytest

from dlt.training import choose_profile, profile_name, start


def test_environment_decides(monkeypatch):
    for name, epochs in (("quick", 2), ("full", 100)):
        monkeypatch.setenv("DLT_PROFILE", name)
        profile = choose_profile(quick={"epochs": 2}, full={"epochs": 100})
        assert (profile.name, profile.epochs) == (name, epochs)
    monkeypatch.setenv("DLT_PROFILE", "fast")
    with pytest.raises(ValueError, match="DLT_PROFILE='fast'"):
        profile_name()


@pytest.mark.parametrize(("kind", "expected"), [("gpu", "full"), ("tpu", "full"), ("none", "quick")])
def test_an_accelerator_means_full(monkeypatch, kind, expected):
    monkeypatch.delenv("DLT_PROFILE", raising=False)
    monkeypatch.setattr(keras.distribution, "list_devices", lambda asked: ["it:0"] if asked == kind else [])
    assert profile_name() == expected


def test_profiles_need_the_same_settings():
    with pytest.raises(ValueError, match=r"quick=\['epochs'\], full=\['epoch'\]"):
        choose_profile(quick={"epochs": 1}, full={"epoch": 1})


def test_start_prints_and_seeds(capsys):
    start(seed=3)
    first = np.random.rand()
    start(seed=3)
    assert np.random.rand() == first
    line = capsys.readouterr().out
    for word in ("dlt 0.", f"Keras {keras.version()}", keras.backend.backend(), "profile: ", "seed: 3"):
        assert word in line
