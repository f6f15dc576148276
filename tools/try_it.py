"""What the page "Try it" runs on: networks as ONNX files, ONNX Runtime for browsers, and pictures to begin with.

All of it is made when the site is built, and none of it is in git. Without the npm registry there is no runtime, and
the page says so.
"""

import base64
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.error
import urllib.request
from typing import Any

ROOT = pathlib.Path(__file__).parents[1]
BUILD = ROOT / "build"
PACKAGE, VERSION = "onnxruntime-web", "1.30.0"
INTEGRITY = "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
# Of the two builds with WebGPU this is the smaller by 10 MB; browsers need `WebAssembly.Suspending` (JSPI) for it.
RUNTIMES = {
    "wasm": ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"),
    "webgpu": ("ort.jspi.bundle.min.mjs", "ort-wasm-simd-threaded.jspi.wasm"),
}
LICENSE = """MIT License

Copyright (c) Microsoft Corporation

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""
# The margin of a tile is at least what the network looks to each side: `dlt.measure.receptive_field`.
NETWORKS: dict[str, dict[str, Any]] = {
    "denoiser_grey": {"tile": 256, "margin": 32, "multiple": 16},
    "denoiser_color": {"tile": 256, "margin": 32, "multiple": 16},
    "faint": {"tile": 448, "margin": 96, "multiple": 16},
    "faint_biased": {"tile": 448, "margin": 96, "multiple": 16},
    "nuclei": {"tile": 640, "margin": 128, "multiple": 16},
}
PHOTOS = {  # name: title, photo, upper left corner; 256 x 256 pixels
    "cat": ("a cat", "chelsea", (20, 120)),
    "astronaut": ("an astronaut", "astronaut", (0, 96)),
    "camera": ("a cameraman, grey", "camera", (40, 130)),
}
CROPS = {"fluorescence": ("fluorescence", 1), "crowd": ("a crowd", 2), "tissue": ("stained tissue", 5)}


class Unreachable(Exception):
    """The npm registry did not hand out the package."""


def write_try_it(book: pathlib.Path, package: str) -> None:
    """Write `_static/try-it/files` below `book`, if it has the page; `package` is a hash of what the networks are."""
    if not (book / "try-it.md").exists():
        return
    target = book / "_static" / "try-it" / "files"
    target.mkdir(parents=True)
    try:
        runtime = runtime_files()
    except Unreachable as error:
        print(f"try-it: the page is built without its networks: {error}", flush=True)
        missing = "ONNX Runtime could not be fetched from the npm registry when it was made"
        (target / "files.json").write_text(json.dumps({"missing": missing}))
        return
    shutil.copytree(runtime, target, dirs_exist_ok=True)
    shutil.copytree(exported(package), target, dirs_exist_ok=True)
    (target / "files.json").write_text(json.dumps(listing(target), indent=1))


def listing(folder: pathlib.Path) -> dict[str, Any]:
    """Return what the page needs to know about the files."""

    def size(name: str) -> int:
        return (folder / name).stat().st_size

    runtimes = {
        device: {"script": script, "wasm": wasm, "bytes": size(wasm)} for device, (script, wasm) in RUNTIMES.items()
    }
    networks = {name: {"file": f"{name}.onnx", "bytes": size(f"{name}.onnx"), **how} for name, how in NETWORKS.items()}
    return {
        "runtimes": runtimes,
        "networks": networks,
        "photos": [{"file": f"{name}.png", "title": title} for name, (title, *_) in PHOTOS.items()],
        "nuclei": [{"file": f"{name}.png", "title": title} for name, (title, _) in CROPS.items()],
    }


def runtime_files() -> pathlib.Path:
    """Return a folder with ONNX Runtime Web, two files for each device, and its licence, fetched once and checked."""
    folder = BUILD / f"{PACKAGE}-{VERSION}"
    names = [name for pair in RUNTIMES.values() for name in pair]
    if all((folder / name).exists() for name in (*names, "LICENSE.txt")):
        return folder
    with tempfile.TemporaryDirectory() as temporary:
        archive = fetch(pathlib.Path(temporary))
        check_integrity(archive)
        folder.mkdir(parents=True, exist_ok=True)
        with tarfile.open(archive) as package:
            for name in names:
                member = package.extractfile(f"package/dist/{name}")
                assert member is not None
                (folder / name).write_bytes(member.read())
    (folder / "LICENSE.txt").write_text(LICENSE)
    return folder


def fetch(folder: pathlib.Path) -> pathlib.Path:
    """Fetch the archive of the package into a folder: with npm where it is installed, which knows its own settings."""
    archive = folder / f"{PACKAGE}-{VERSION}.tgz"
    npm = shutil.which("npm")
    if npm:
        command = [npm, "pack", f"{PACKAGE}@{VERSION}", "--ignore-scripts", "--fetch-retries=1", "--silent"]
        try:
            found = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
        except subprocess.TimeoutExpired as error:
            raise Unreachable("npm pack took more than five minutes") from error
        if found.returncode or not archive.exists():
            raise Unreachable(f"npm pack {PACKAGE}@{VERSION} failed ({found.returncode})")
        return archive
    settings = {name.lower(): value for name, value in os.environ.items()}
    registry = settings.get("npm_config_registry", "https://registry.npmjs.org").rstrip("/")
    try:
        with urllib.request.urlopen(f"{registry}/{PACKAGE}/-/{archive.name}", timeout=60) as response:
            archive.write_bytes(response.read())
    except (OSError, urllib.error.URLError) as error:
        raise Unreachable(f"{registry}: {error}") from error
    return archive


def check_integrity(archive: pathlib.Path) -> None:
    """Raise unless the archive is the one that this file names. Another one is no failure of the network: it stops."""
    found = "sha512-" + base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if found != INTEGRITY:
        raise ValueError(
            f"{archive.name} is not the file that was checked. Expected {INTEGRITY}. Received: {found}. Delete "
            "your mirror's copy, or update VERSION and INTEGRITY in tools/try_it.py from `npm view`."
        )


def exported(package: str) -> pathlib.Path:
    """Return a folder with the networks and pictures, made anew when the package or this file changed."""
    folder = BUILD / "try-it"
    key = hashlib.sha256(package.encode() + pathlib.Path(__file__).read_bytes()).hexdigest()
    done = BUILD / "try-it.key"
    if not done.exists() or done.read_text() != key:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        environment = {**os.environ, "KERAS_BACKEND": "tensorflow"}
        command = [sys.executable, "-W", "ignore::FutureWarning", "-m", "tools.try_it", str(folder)]
        subprocess.run(command, cwd=ROOT, env=environment, check=True)
        done.write_text(key)
    return folder


def export(folder: pathlib.Path) -> None:
    """Write the networks and the pictures."""
    import numpy as np
    from PIL import Image

    import dlt

    for name, model in make_networks().items():
        model(np.zeros((1, 32, 32, model.input_shape[-1]), "float32"))  # Keras exports what has been called
        model.export(folder / f"{name}.onnx", format="onnx", verbose=False)
    for name, (_, photo, (top, left)) in PHOTOS.items():
        pixels = dlt.data.photos(photo)[photo][top : top + 256, left : left + 256]
        Image.fromarray(pixels.squeeze()).save(folder / f"{name}.png")
    crops = dlt.data.nuclei_crops().images
    for name, (_, number) in CROPS.items():
        Image.fromarray(crops[number]).save(folder / f"{name}.png")


def make_networks() -> dict[str, Any]:
    """Return the networks by the names of `NETWORKS`."""
    from dlt import models

    return {
        "denoiser_grey": models.create_denoiser(pretrained=True),
        "denoiser_color": models.create_denoiser(3, pretrained=True),
        "faint": models.create_convunext_denoiser(pretrained="sigma_10"),
        "faint_biased": models.create_convunext_denoiser(pretrained="sigma_10", use_bias=True),
        "nuclei": models.create_nuclei_segmenter("unet", pretrained="nuclei"),
    }


if __name__ == "__main__":
    export(pathlib.Path(sys.argv[1]))
