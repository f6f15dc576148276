"""The parcel of chapter 23: a check that passes on what was sent, and on nothing else."""

import shutil

import keras
import numpy as np
import pytest

from dlt.assets.saving import killed, parcel


@pytest.fixture
def sent(tmp_path):
    keras.utils.set_random_seed(0)
    layer = keras.layers.Conv2D(2, 3, padding="same")
    parcel.ship(tmp_path / "sent", small=keras.Sequential([keras.Input((None, None, 1)), layer]))
    return tmp_path / "sent"


def test_what_was_sent(sent):
    assert parcel.check(sent)["small"] < 1e-6
    assert sorted(path.name for path in sent.iterdir()) == ["SHA256SUMS", "small.keras", "small.npz"]


@pytest.mark.parametrize("name", ["small.keras", "small.npz"])
def test_a_single_bit(name, sent):
    content = bytearray((sent / name).read_bytes())
    content[len(content) // 2] ^= 1
    (sent / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name} is not the file that was sent"):
        parcel.check(sent)


@pytest.mark.parametrize("name", ["small.npz", "stranger.keras"])
def test_a_file_too_few_or_too_many(name, sent):
    if (sent / name).exists():
        (sent / name).unlink()
    else:
        (sent / name).write_bytes((sent / "small.keras").read_bytes())
    with pytest.raises(ValueError, match=rf"{name} is not the file that was sent"):
        parcel.check(sent)


def test_a_parcel_without_a_network_fails(tmp_path):
    parcel.ship(tmp_path / "empty")
    done = killed.run(keras.backend.backend(), parcel.__file__, tmp_path / "empty")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_another_network_with_new_fingerprints(sent, capsys):
    wrong = shutil.copytree(sent, sent.with_name("wrong"))
    model = keras.saving.load_model(wrong / "small.keras")
    model.set_weights([1.01 * np.asarray(weight) for weight in model.get_weights()])
    model.save(wrong / "small.keras")
    parcel.write_sums(wrong)
    assert parcel.check(wrong)["small"] > parcel.ALLOWED
    assert parcel.main(sent) == 0
    assert parcel.main(wrong) == parcel.main(sent, wrong) == 1
    assert parcel.main(wrong, wrong) == 2
    assert "wrong small" in capsys.readouterr().out
