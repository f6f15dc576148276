"""The full profile of "Your own images" downloads photographs; here a server of our own has them."""

import ast
import http.server
import inspect
import io
import pathlib
import tarfile
import threading
import types

import keras
import nbformat
import numpy as np
import pytest
from PIL import Image, ImageOps, UnidentifiedImageError

import dlt
from tests.helpers import ROOT

CHAPTER = next((ROOT / "book").glob("2-convnext/*-your-own-images.ipynb"))


def flower_photos():
    """Return an archive with the layout of the real one, of two photographs for each of two classes."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for kind, value in (("daisy", 50), ("tulips", 200)):
            for i in range(2):
                picture = io.BytesIO()
                Image.fromarray(np.full((30, 40, 3), value, "uint8")).save(picture, "JPEG")
                member = tarfile.TarInfo(f"flower_photos/{kind}/{i}_n.jpg")
                member.size = len(picture.getvalue())
                archive.addfile(member, io.BytesIO(picture.getvalue()))
    return content.getvalue()


@pytest.fixture
def url():
    content = flower_photos()

    class Server(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args):
            """Keep quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/flower_photos.tgz"
    server.shutdown()
    server.server_close()


def of_the_chapter(*names):
    """Return functions of the chapter, without running it."""
    cells = [cell.source for cell in nbformat.read(CHAPTER, as_version=4).cells if cell.cell_type == "code"]
    known = {"keras": keras, "np": np, "pathlib": pathlib, "Image": Image, "ImageOps": ImageOps, "dlt": dlt}
    for source in cells[1:]:  # the first one is for Colab
        for node in ast.parse(source).body:
            if isinstance(node, ast.FunctionDef) and node.name in names:
                exec(ast.unparse(node), known)
    return [known[name] for name in names]


def test_the_photographs_of_the_full_profile_are_found_and_read(url):
    (flowers,) = of_the_chapter("flowers")
    folder = flowers(url)
    assert sorted(path.name for path in folder.glob("*/")) == ["daisy", "tulips"]
    if keras.backend.backend() == "tensorflow":
        found = keras.utils.image_dataset_from_directory(folder, image_size=(16, 16), shuffle=False, verbose=False)
        images, labels = next(found.as_numpy_iterator())
        assert images.shape == (4, 16, 16, 3)
        np.testing.assert_allclose(images.mean(axis=(1, 2, 3)), np.where(labels == 1, 200, 50), atol=2)


def test_the_backbone_of_the_full_profile(monkeypatch):
    signature, asked = inspect.signature(dlt.models.create_convnext_v1), []

    def create(*args, **kwargs):
        asked.append(signature.bind(*args, **kwargs).arguments)

    monkeypatch.setattr(dlt.models, "create_convnext_v1", create)
    (network,) = of_the_chapter("network")
    network.__globals__["profile"] = types.SimpleNamespace(flowers=True)
    network(num_classes=5)
    network(pretrained=None, num_classes=5)
    assert [(one["variant"], one["pretrained"], one["num_classes"]) for one in asked] == [
        ("tiny", "imagenet", 5),
        ("tiny", None, 5),
    ]


def test_what_a_folder_without_ids_becomes(url):
    flowers, image_id, divide = of_the_chapter("flowers", "image_id", "divide")
    files = sorted(flowers(url).rglob("*.jpg"))
    many = [path.with_name(f"{i}{path.name}") for i, path in enumerate(files * 5)]
    assert len({image_id(path) for path in many}) == 20  # each is an image of its own
    rest, apart = divide(many, seed=0)
    assert (len(rest), len(apart)) == (16, 4)
    assert not set(rest) & set(apart)


def test_a_file_that_is_no_image(tmp_path):
    classify, _ = of_the_chapter("classify", "upright")
    (tmp_path / "notes.jpg").write_text("not a picture")
    with pytest.raises(UnidentifiedImageError, match=r"notes\.jpg"):
        classify(tmp_path / "notes.jpg", None, ["a", "b"])
    with pytest.raises(FileNotFoundError):
        classify(tmp_path / "nowhere.jpg", None, ["a", "b"])


def test_damaged_files_are_named_and_whole_ones_are_not(tmp_path):
    fault, _ = of_the_chapter("fault", "upright")
    whole, cut, text = (tmp_path / name for name in ("whole.jpg", "cut.jpg", "text.jpg"))
    Image.fromarray(np.arange(900, dtype="uint8").reshape(30, 30)).save(whole)
    cut.write_bytes(whole.read_bytes()[:-200])
    text.write_text("not a picture")
    assert fault(whole) is None
    assert fault(cut).startswith(f"{cut}: ")
    assert fault(text).startswith(f"{text}: ")


def test_a_picture_that_lies_on_its_side_is_turned_before_it_is_classified(tmp_path):
    classify, upright = of_the_chapter("classify", "upright")
    lying, exif = np.zeros((20, 40), "uint8"), Image.Exif()
    lying[:, :10], exif[0x0112] = 255, 6
    Image.fromarray(lying).save(tmp_path / "a.jpg", exif=exif)
    picture = np.asarray(upright(tmp_path / "a.jpg"))
    assert picture.shape == (40, 20, 3)
    assert picture[:8].mean() > 240 > 15 > picture[12:].mean()
    image = keras.Input((None, None, 3))
    top = keras.layers.Lambda(lambda x: keras.ops.mean(x[:, :8], axis=(1, 2)))(image)
    said = classify(tmp_path / "a.jpg", keras.Model(image, top), ["r", "g", "b"])
    assert min(said.values()) > 240
