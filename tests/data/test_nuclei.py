"""Nuclei from a folder, an archive and a server that behaves badly; the real archive where there is one."""

import hashlib
import importlib
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from dlt.data import borders, nuclei, nuclei_crops, nuclei_view
from tests.helpers import ROOT, shared

module = importlib.import_module("dlt.data.nuclei")  # `dlt.data.nuclei` itself is the function
IDS = [f"{i:x}" * 64 for i in range(10)]


@pytest.fixture
def folder(tmp_path, rng, monkeypatch):
    """Ten small images in the archive's layout, one that is not listed, and their hashes as the published ones."""
    root = tmp_path / f"kaggle-dsbowl-2018-dataset-fixes-{module.COMMIT}"
    digests = {}
    for i, name in enumerate([*IDS, "f" * 64]):
        part = root / "stage1_train" / name
        (part / "images").mkdir(parents=True)
        (part / "masks").mkdir()
        Image.fromarray(rng.integers(0, 256, (20, 30 + i, 4), dtype="uint8")).save(part / "images" / f"{name}.png")
        for j in range(3):
            mask = np.zeros((20, 30 + i), "uint8")
            mask[6 * j : 6 * j + 5, 2 : 3 + i] = 255
            Image.fromarray(mask).save(part / "masks" / f"{j}.png")
        files = [part / "images" / f"{name}.png", *sorted((part / "masks").iterdir())]
        digests[name[:16]] = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    (root / "README.rst").write_text("not an image")
    del digests["f" * 16]
    listed = tmp_path / "files.json"
    listed.write_text(json.dumps({"sha256": digests}))
    monkeypatch.setattr(module, "FILES", listed)
    return root


def test_folder_and_archive(folder, archive):
    for source in (folder, folder / "stage1_train", folder.parent, archive, str(archive)):
        parts = nuclei(source)
        assert {part: len(one.ids) for part, one in parts.items()} == {"train": 7, "validation": 1, "test": 2}
        assert sorted(name for one in parts.values() for name in one.ids) == IDS
        for one in parts.values():
            for name, image, labels in zip(*one, strict=True):
                i = IDS.index(name)
                assert (image.shape, image.dtype) == ((20, 30 + i, 3), np.uint8)
                assert (labels.shape, labels.dtype) == ((20, 30 + i, 1), np.int32)
                expected = np.asarray(Image.open(folder / "stage1_train" / name / "images" / f"{name}.png"))[..., :3]
                np.testing.assert_array_equal(image, expected)
                assert np.bincount(labels.ravel())[1:].tolist() == 3 * [5 * (1 + i)]
                assert (labels[:5, 2 : 3 + i] == 1).all()
                assert (labels[12:17, 2 : 3 + i] == 3).all()


def test_the_seed_decides_the_split(folder):
    first, again, other = (nuclei(folder, seed=seed)["train"].ids for seed in (0, 0, 1))
    assert first == again
    assert first != other
    with pytest.raises(ValueError, match="seed=None"):
        nuclei(folder, seed=None)


def test_where_masks_overlap_the_later_counts():
    low, high = np.zeros((2, 4, 6), "uint8")
    low[0:3, 0:4], high[2:4, 3:6] = 255, 255
    labels = module.merge([Image.fromarray(low), Image.fromarray(high)], (4, 6))[..., 0]
    assert labels.tolist() == [[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 0, 0], [1, 1, 1, 2, 2, 2], [0, 0, 0, 2, 2, 2]]


def test_download_once(server, tmp_path):
    for _ in range(2):
        assert len(nuclei()["train"].ids) == 7
    assert server.ranges == [0]
    assert [file.suffix for file in (tmp_path / "home" / "datasets").iterdir()] == [".zip"]


def test_a_download_that_was_cut_off_goes_on(server):
    server.cut = 1
    with pytest.raises(ConnectionError, match=r"cut off\. Expected [\d,]+ bytes\. Received: [\d,]+ bytes"):
        nuclei()
    assert len(nuclei()["train"].ids) == 7
    assert server.ranges == [0, len(server.content) // 2]


def test_a_corrupt_archive_is_refused(server, archive, tmp_path):
    whole = server.content
    server.content = whole[:1000]
    with pytest.raises(ValueError, match=r"Cannot open the archive.* deleted now: call again"):
        nuclei()
    server.content = whole
    assert nuclei()  # the next call starts clean
    damaged = bytearray(archive.read_bytes())
    place = damaged.find(b"IDAT")
    damaged[place : place + 100] = bytes(100)
    (tmp_path / "damaged.zip").write_bytes(damaged)
    with pytest.raises(ValueError, match=r"Cannot read the file|not the published ones"):
        nuclei(tmp_path / "damaged.zip")


def test_other_files_are_refused(folder):
    masks = folder / "stage1_train" / IDS[3] / "masks"
    shutil.copy(masks / "0.png", masks / "1.png")
    with pytest.raises(ValueError, match=f"The files of {IDS[3]} are not the published ones"):
        nuclei(folder)
    shutil.rmtree(folder / "stage1_train" / IDS[3])
    with pytest.raises(ValueError, match=r"Images of nuclei are missing\. Expected 10 folders .* Received: 9"):
        nuclei(folder)


def test_nothing_there_and_no_server(tmp_path, server, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"Received: .*nowhere"):
        nuclei(tmp_path / "nowhere")
    monkeypatch.setattr(module, "URL", "http://localhost:9/archive.zip")
    with pytest.raises(ConnectionError, match="Expected an answer from the server"):
        nuclei()


def test_borders_are_where_two_objects_come_close():
    labels = np.array(
        [
            [1, 1, 0, 0, 0],
            [1, 1, 0, 0, 0],
            [0, 0, 2, 2, 0],
            [0, 0, 2, 2, 0],
            [3, 0, 0, 0, 0],
        ]
    )[..., None]
    expected = np.zeros((5, 5, 1), bool)
    expected[1, 1] = expected[2, 2] = True  # they touch at a corner
    np.testing.assert_array_equal(borders(labels), expected)
    assert borders(labels, width=2)[..., 0].astype(int).sum() > 2
    assert not borders(np.where(labels == 2, 2, 0)).any()  # one object, and the edge of the image
    assert not borders(np.zeros((4, 4, 1), int)).any()


def test_the_view_is_grey_bright_and_stretched(rng):
    dark = rng.integers(0, 20, (40, 40, 3)).astype("uint8")
    dark[10:20, 10:20] = 60
    tissue = 255 - dark
    for image in (dark, tissue):
        view = nuclei_view(image)
        assert (view.shape, view.dtype) == ((40, 40, 1), np.float32)
        assert (view[10:20, 10:20] == 1).all()
        assert view[30:].mean() < 0.3
        assert view.min() == 0
    np.testing.assert_allclose(nuclei_view(dark), nuclei_view(tissue), atol=1e-6)
    assert (nuclei_view(np.full((8, 8, 3), 7, "uint8")) == 0).all()


def test_borders_of_any_whole_numbers():
    """The highest number of a dtype plus one is its lowest: the edge of an object would be that of two."""
    for kind, high in (("uint8", 255), ("uint16", 65535), ("int64", 2**62), ("int8", 127)):
        labels = np.zeros((3, 9, 1), kind)
        labels[:, 1:4], labels[:, 6:8] = high, 1
        assert not borders(labels).any()
        labels[:, 4:6] = 1
        assert borders(labels)[0, :, 0].tolist() == [False, False, False, True, True, False, False, False, False]
    touching = np.array([[[5], [5], [9]]])  # nothing is background
    assert borders(touching).ravel().tolist() == [False, True, True]


def test_a_mask_or_a_batch_has_no_borders():
    labels = np.zeros((8, 8, 1), int)
    for bad in (labels > 0, labels * 1.0, labels - 1, np.where(labels == 0, 255, 0).astype("uint8")):
        with pytest.raises(ValueError, match=r"borders needs numbered objects.*dlt\.predict\.objects"):
            borders(bad)
    for shape in ((8, 8), (2, 8, 8, 1), (8, 8, 3), (0, 8, 1)):
        with pytest.raises(ValueError, match=r"one image. Expected shape \(height, width, 1\)"):
            borders(np.zeros(shape, int))
    for width in (0, 1.5):
        with pytest.raises(ValueError, match=f"width={width}"):
            borders(labels, width)


def test_the_view_is_the_same_of_any_storage():
    for image in nuclei_crops().images:
        expected = nuclei_view(image)
        for same in (image.astype("uint16") * 257, image / 255, (image / 255).astype("float32")):
            np.testing.assert_allclose(nuclei_view(same), expected, atol=1e-5)
        np.testing.assert_allclose(nuclei_view((image / 255).astype("float16")), expected, atol=0.03)


def test_twelve_bits_that_a_camera_has_stored_in_sixteen_are_to_be_multiplied_by_sixteen():
    """Fluorescence does not care; bright tissue would be taken for dark."""
    for image in nuclei_crops().images:
        expected, twelve = nuclei_view(image), image.astype("uint16") * 16
        np.testing.assert_allclose(nuclei_view(twelve * 16), expected, atol=1e-4)
        wrong = np.corrcoef(nuclei_view(twelve).ravel(), expected.ravel())[0, 1] < 0
        assert wrong == (np.median(image) > 127)


def test_a_view_in_colour_keeps_the_stain_and_of_a_grey_image_it_is_the_grey_one():
    for image in nuclei_crops().images:
        view = nuclei_view(image, color=True)
        assert (view.shape, view.dtype, view.min(), view.max()) == (image.shape, "float32", 0, 1)
        if (image[..., :1] == image).all():
            np.testing.assert_allclose(view, np.repeat(nuclei_view(image), 3, -1), atol=0.005)  # of quantiles
            np.testing.assert_array_equal(nuclei_view(image[..., :1], color=True), view)
        else:  # dark on bright and coloured: what absorbs is bright, and each channel in its own way
            assert np.corrcoef(view[..., 1].ravel(), image[..., 1].ravel())[0, 1] < -0.9
            assert np.ptp(view, axis=-1).max() > 0.2


def test_no_view_of_what_is_no_image():
    image = nuclei_crops().images[0]
    for bad in (image.astype("float32"), image.astype("int64"), image > 9, image / 255 - 1, image * np.nan):
        with pytest.raises(ValueError, match="nuclei_view cannot tell which value is white"):
            nuclei_view(bad)
    for bad in (image[..., 0], image[None], np.concatenate([image, image[..., :1]], -1)):
        with pytest.raises(ValueError, match=r"one image. Expected shape \(height, width, 1 or 3\)"):
            nuclei_view(bad)


@pytest.fixture(scope="module")
def parts():
    return nuclei(shared("data/nuclei_stage1_train.zip"))


def test_the_real_archive(parts):
    assert {part: len(one.ids) for part, one in parts.items()} == {"train": 372, "validation": 80, "test": 80}
    assert sum(int(labels.max()) for one in parts.values() for labels in one.labels) == 23143
    assert {image.shape[-1] for one in parts.values() for image in one.images} == {3}
    assert min(min(image.shape[:2]) for one in parts.values() for image in one.images) == 256


def test_the_crops_are_pieces_of_the_test_images(parts):
    crops = nuclei_crops()
    stored = json.loads((ROOT / "dlt/assets/nuclei_crops.json").read_text())["crops"]
    test = parts["test"]
    for crop, identity, image, labels in zip(stored, *crops, strict=True):
        i = test.ids.index(identity)
        window = slice(crop["row"], crop["row"] + 160), slice(crop["column"], crop["column"] + 160)
        np.testing.assert_array_equal(image, test.images[i][window])
        np.testing.assert_array_equal(labels > 0, test.labels[i][window] > 0)
        assert (labels.dtype, labels.max()) == (np.int32, crop["nuclei"])
