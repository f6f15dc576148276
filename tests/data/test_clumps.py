"""Pictures in folders: as many as the asset says, of the right parts, and named by where they were cut."""

import hashlib
import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image

from dlt.data import CLUMP_CLASSES, clumps
from tests.helpers import ROOT

STORED = json.loads((ROOT / "dlt/assets/clumps.json").read_text(encoding="utf8"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return clumps(tmp_path_factory.mktemp("clumps") / "new")


def test_a_folder_of_jpeg_files_for_each_class(folder):
    for part, counts in STORED["files"].items():
        assert sorted(path.name for path in (folder / part).iterdir()) == sorted(CLUMP_CLASSES)
        for name, count in counts.items():
            files = sorted((folder / part / name).iterdir())
            assert len(files) == count
            with Image.open(files[0]) as image:
                assert (image.format, image.mode, image.size) == ("JPEG", "L", (48, 48))


def test_no_image_has_crops_in_both_parts_and_none_has_many(folder):
    ids = {part: [path.name[:8] for path in (folder / part).rglob("*.jpg")] for part in ("train", "test")}
    assert not set(ids["train"]) & set(ids["test"])
    assert np.unique(ids["train"], return_counts=True)[1].max() <= 7
    assert len(set(ids["train"])) == 199


def test_no_two_files_are_equal(folder):
    contents = [path.read_bytes() for path in folder.rglob("*.jpg")]
    assert len(set(contents)) == len(contents) == sum(sum(counts.values()) for counts in STORED["files"].values())


def test_the_archive_is_the_one_that_is_described():
    archive = (ROOT / "dlt/assets/clumps.zip").read_bytes()
    assert hashlib.sha256(archive).hexdigest() == STORED["sha256"]
    assert len(archive) < 1_000_000
    with zipfile.ZipFile(io.BytesIO(archive)) as files:
        assert all(name.endswith(".jpg") for name in files.namelist())


def test_twice_is_as_good_as_once(folder):
    assert len(list(clumps(folder).rglob("*.jpg"))) == len(list(folder.rglob("*.jpg")))


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("here")
    with pytest.raises(ValueError, match=r"need a folder.*the file .*Name another"):
        clumps(tmp_path / "file")
