"""Archives of data sets that say what is wrong with them."""

import contextlib
import hashlib
import os
import pathlib
import zipfile
import zlib
from collections.abc import Iterable, Iterator

from dlt._check import fail
from dlt._download import cache_folder, download


@contextlib.contextmanager
def archive(url: str, name: str, directory: str | os.PathLike | None) -> Iterator[str | os.PathLike]:
    """Give the path of a data set: `directory`, or if that is None a downloaded archive, which goes if it proves wrong.

    Args:
        url: String, where the .zip file is.
        name: String, what it is called in Keras's cache.
        directory: Path given by the user, or None.

    Raises:
        ConnectionError: If the download fails.
        ValueError: What is raised inside; a downloaded archive is deleted first, so that the next call starts clean.
    """
    if directory is not None:
        yield directory
        return
    path = download(url, cache_folder() / f"{name}.zip")
    try:
        yield path
    except ValueError as error:
        path.unlink(missing_ok=True)
        raise ValueError(f"{error} What was downloaded is deleted now: call again to download it anew.") from error


def open_folder(path: str | os.PathLike, expected: str, inside: Iterable[str] = ()) -> pathlib.Path | zipfile.Path:
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


def open_zip(path: pathlib.Path) -> zipfile.ZipFile:
    """Return an opened .zip file."""
    try:
        return zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise ValueError(
            f"Cannot open the archive: {error}. Expected a whole .zip file. Received: {path} "
            f"({path.stat().st_size:,} bytes). It may be cut off: delete it and download it again."
        ) from error


def read_bytes(file: pathlib.Path | zipfile.Path) -> bytes:
    """Return the bytes of a file in a folder or archive."""
    try:
        return file.read_bytes()
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError) as error:
        raise ValueError(
            f"Cannot read the file: {error}. Expected a whole archive. Received: {file}. Download the archive again."
        ) from error


def check_hash(what: str, contents: list[bytes], expected: str) -> None:
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
