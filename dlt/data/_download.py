"""Downloads that go on where they stopped, and archives that say what is wrong with them."""

import hashlib
import os
import pathlib
import urllib.error
import urllib.request
import zipfile
import zlib

import keras

from dlt._check import fail


def cache_folder():
    """Return the folder that Keras keeps its data sets in, `$KERAS_HOME/datasets`; it exists."""
    folder = pathlib.Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "datasets"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def download(url, path):
    """Download a file unless it is there, and return its path; a download that was cut off goes on where it stopped.

    Until it is whole the file is called `path` + ".part", so what has the right name is complete.

    Args:
        url: String.
        path: Path of the file.

    Raises:
        ConnectionError: If the server cannot be reached, refuses, or closes before the file is whole. What has come
            so far stays.
    """
    if path.exists():
        return path
    part = path.with_name(path.name + ".part")
    start = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            start = start if answer.status == 206 else 0  # a server that cannot resume sends the whole file
            total = start + int(answer.headers.get("Content-Length") or 0)
            copy(answer, part, start, total)
    except (urllib.error.URLError, ConnectionError, TimeoutError) as error:
        raise ConnectionError(
            f"Cannot download: {error}. Expected an answer from the server. Received: url={url}. Call again to go on, "
            "or download it by other means and pass the path of the file."
        ) from error
    size = part.stat().st_size
    if total > start and size < total:
        raise ConnectionError(
            f"The download was cut off. Expected {total:,} bytes. Received: {size:,} bytes of {url}. "
            "Call again to go on."
        )
    return part.rename(path)


def copy(answer, part, start, total):
    """Write what a server answers to a file from position `start` on, with a progress bar."""
    bar = keras.utils.Progbar(total or None, unit_name="byte")
    with part.open("r+b" if start else "wb") as file:
        file.seek(start)
        while block := answer.read(1 << 18):
            file.write(block)
            bar.update(min(file.tell(), total) if total else file.tell())


def open_folder(path, expected, inside=()):
    """Return the root of a data set as something with `iterdir`: a folder, or the inside of a .zip file.

    Args:
        path: Path of a folder or of a .zip file.
        expected: String, what it should be, for the error.
        inside: Names of folders to go down into, one after the other, where they are there; so `path` may be any of
            them.

    Raises:
        FileNotFoundError: If there is nothing at `path`.
        ValueError: If the .zip file is damaged.
    """
    path = pathlib.Path(path).expanduser()
    if not path.exists():
        raise FileNotFoundError(
            f"No data there. Expected {expected}. Received: {path}. Check the path, or pass None to download."
        )
    root = zipfile.Path(open_zip(path)) if path.is_file() else path
    for name in inside:
        root = root / name if (root / name).is_dir() else root
    return root


def open_zip(path):
    """Return an opened .zip file."""
    try:
        return zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise ValueError(
            f"Cannot open the archive: {error}. Expected a whole .zip file. Received: {path} "
            f"({path.stat().st_size:,} bytes). It may be cut off: delete it and download it again."
        ) from error


def read_bytes(file):
    """Return the bytes of a file in a folder or archive."""
    try:
        return file.read_bytes()
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError) as error:
        raise ValueError(
            f"Cannot read the file: {error}. Expected a whole archive. Received: {file}. Download the archive again."
        ) from error


def check_hash(what, contents, expected):
    """Raise unless the SHA-256 of some files' bytes, one after the other, is the expected one."""
    digest = hashlib.sha256()
    for content in contents:
        digest.update(content)
    if digest.hexdigest() != expected:
        fail(
            f"The files of {what} are not the published ones.",
            f"{len(contents)} files with SHA-256 {expected}",
            digest.hexdigest(),
            "Delete the archive and download it again.",
        )
