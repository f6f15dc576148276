"""Downloads that go on where they stopped, and leave either a whole file or nothing under its name."""

import http.client
import os
import pathlib
import re
import urllib.error
import urllib.request
from typing import Any

import keras


def cache_folder(kind: str = "datasets") -> pathlib.Path:
    """Return the folder that Keras keeps its files of a kind in, such as `$KERAS_HOME/datasets`; it exists."""
    folder = pathlib.Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / kind
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def download(url: str, path: pathlib.Path) -> pathlib.Path:
    """Download a file unless it is there, and return its path; a download that was cut off goes on where it stopped.

    Until it is whole the file is called `path` + ".part", so what has the right name is complete.

    Args:
        url: String.
        path: Path of the file.

    Raises:
        ConnectionError: If the server cannot be reached, refuses, sends a web page, or closes before the file is whole.
            What has come so far stays.
    """
    if path.exists():
        return path
    part = path.with_name(path.name + ".part")
    start = part.stat().st_size if part.exists() else 0
    try:
        total = fetch(url, part, start)
    except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
        raise ConnectionError(
            f"Cannot download: {error or type(error).__name__}. Expected an answer from the server. "
            f"Received: url={url}. Call again to go on, or download it by other means and pass the path of the file."
        ) from error
    size = part.stat().st_size
    if total is not None and size < total:
        raise ConnectionError(
            f"The download was cut off. Expected {total:,} bytes. Received: {size:,} bytes of {url}. "
            "Call again to go on."
        )
    return part.replace(path)


def fetch(url: str, part: pathlib.Path, start: int) -> int | None:
    """Write what a server has from byte `start` on, and return how long the whole file is, None if it does not say."""
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            refuse_page(answer)
            begin, total = span(answer, start)
            if begin > start:
                raise ConnectionError(f"it sends what follows byte {begin:,}, and byte {start:,} is the next one here")
            copy(answer, part, begin, total)
            return total
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != 416 or not start:  # 416: there is nothing from that byte on
            raise
        if error.headers.get("Content-Range") == f"bytes */{start}":
            return start  # the whole file had come, only its name was not changed
    part.unlink()  # it is no beginning of what the server has now
    return fetch(url, part, 0)


def span(answer: Any, start: int) -> tuple[int, int | None]:
    """Return at which byte an answer to a request from `start` on begins, and how long the whole file is."""
    match = re.match(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range") or "")
    if answer.status == 206 and match is not None:
        return int(match[1]), None if match[2] == "*" else int(match[2])
    begin = start if answer.status == 206 else 0  # a server that cannot resume sends the whole file
    length = answer.headers.get("Content-Length")
    return begin, None if length is None else begin + int(length)


def refuse_page(answer: Any) -> None:
    """Raise if a proxy or a login page answers in place of the server."""
    kind = answer.headers.get("Content-Type") or ""
    if kind.startswith(("text/html", "application/xhtml")):
        raise ConnectionError(f"a web page came ({kind}) in place of the file, from a proxy or a login")


def copy(answer: Any, part: pathlib.Path, start: int, total: int | None) -> None:
    """Write what a server answers to a file from position `start` on, with a progress bar."""
    bar = keras.utils.Progbar(total or None, unit_name="byte")
    with part.open("r+b" if start else "wb") as file:
        file.seek(start)
        while block := answer.read(1 << 18):
            file.write(block)
            bar.update(min(file.tell(), total) if total else file.tell())
        file.truncate()
