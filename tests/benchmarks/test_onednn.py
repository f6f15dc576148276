"""What the book says of oneDNN is what was measured."""

import json

import numpy as np

from tests.helpers import ROOT


def test_three_networks_gain_and_one_stays_in_the_noise():
    rows = json.loads((ROOT / "dlt/assets/onednn_cpu.json").read_text())["rows"]
    gains = {name: 100 * (1 - np.median(row["on"]) / np.median(row["off"])) for name, row in rows.items()}
    noisy = rows.pop("ConvNeXt V1")
    assert max(noisy["on"]) > min(noisy["off"])
    assert all(max(row["on"]) < min(row["off"]) for row in rows.values())
    assert sorted(round(gains[name]) for name in rows) == [23, 28, 35]
