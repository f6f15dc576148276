import importlib
import logging
import re

import keras
import numpy as np
import pytest

from dlt._precision import use_full_float32
from dlt.training import choose_profile, profile_name, start

profile_module = importlib.import_module("dlt.training.profile")


@pytest.fixture(autouse=True)
def precision_as_before():
    """`start` sets it for good; other tests ask what the backend chooses by itself."""
    take_back = use_full_float32()
    take_back()
    yield
    take_back()


def test_environment_decides(monkeypatch):
    for name, epochs in (("quick", 2), ("full", 100)):
        monkeypatch.setenv("DLT_PROFILE", name)
        profile = choose_profile(quick={"epochs": 2}, full={"epochs": 100})
        assert (profile.name, profile.epochs) == (name, epochs)
    monkeypatch.setenv("DLT_PROFILE", "fast")
    with pytest.raises(ValueError, match="DLT_PROFILE='fast'"):
        profile_name()


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        ("/job:localhost/replica:0/task:0/device:GPU:0", "full"),  # TensorFlow
        ("cuda:0", "full"),  # PyTorch, JAX
        ("TPU_0(process=0,(0,0,0,0))", "full"),  # JAX
        ("/job:localhost/replica:0/task:0/device:CPU:0", "quick"),
        ("TFRT_CPU_0", "quick"),
        ("cpu", "quick"),
    ],
)
def test_an_accelerator_means_full(monkeypatch, device, expected):
    monkeypatch.delenv("DLT_PROFILE", raising=False)
    monkeypatch.setattr(profile_module, "device_name", lambda: device)
    assert profile_name() == expected


def test_this_machine_has_a_device():
    assert re.search("cpu|gpu|cuda|tpu|mps", profile_module.device_name().lower())


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


def test_start_drops_one_warning_and_no_other():
    start()
    logger = logging.getLogger("tensorflow")
    for text, heard in (("5 out of the last 9 calls triggered tf.function retracing", False), ("out of memory", True)):
        assert bool(logger.filter(logger.makeRecord(logger.name, logging.WARNING, "", 0, text, (), None))) == heard
