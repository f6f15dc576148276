"""A stored number says where it is from."""

import json

import pytest

from tests.helpers import ROOT

RESULTS = sorted((ROOT / "dlt" / "assets").rglob("*.json"))
MEASURED = {"command", "seed", "device", "date", "versions"}
PUBLISHED = {"paper", "url"}


def test_there_are_results():
    assert RESULTS


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_every_result_has_its_provenance(path):
    provenance = json.loads(path.read_text(encoding="utf8"))["provenance"]
    assert provenance.keys() >= MEASURED or provenance.keys() >= PUBLISHED
    assert all(value not in (None, "") for value in provenance.values())


def test_every_asset_is_small():
    assert all(path.stat().st_size < 5_000_000 for path in (ROOT / "dlt" / "assets").rglob("*"))
