"""Downloads from a server that misbehaves: a right file or one clear error, and the next call starts clean."""

import http.server
import threading

import pytest

from dlt._download import cache_folder, download

CONTENT = bytes(range(256)) * 40


class Server(http.server.BaseHTTPRequestHandler):
    """Answers with the functions in `answers`, one after the other, and then as a good server does."""

    protocol_version = "HTTP/1.1"
    answers, ranges = [], []

    def do_GET(self):
        asked = self.headers.get("Range")
        type(self).ranges.append(asked)
        answer = self.answers.pop(0) if self.answers else good
        answer(self, int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0)
        self.close_connection = True

    def say(self, status, body, **headers):
        self.send_response(status)
        for name, value in {"Content_Length": len(body), **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        """Keep quiet."""


def good(server, start):
    if start >= len(CONTENT):
        server.say(416, b"", Content_Range=f"bytes */{len(CONTENT)}")
    elif start:
        server.say(206, CONTENT[start:], Content_Range=f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
    else:
        server.say(200, CONTENT)


def no_ranges(server, start):
    server.say(200, CONTENT)


def only_416(server, start):
    server.say(416, b"")


def half(server, start):
    server.say(200, CONTENT[: len(CONTENT) // 2], Content_Length=len(CONTENT))


def half_in_chunks(server, start):
    """The connection breaks within a chunk; how long the file is nobody has said."""
    server.send_response(200)
    server.send_header("Transfer-Encoding", "chunked")
    server.end_headers()
    server.wfile.write(b"1000\r\n" + CONTENT[:4096] + b"\r\n1000\r\n" + CONTENT[4096:5000])


def page(server, start):
    server.say(200, b"<!DOCTYPE html><title>Log in</title>", Content_Type="text/html; charset=utf8")


def later_part(server, start):
    server.say(206, CONTENT[9000:], Content_Range=f"bytes 9000-{len(CONTENT) - 1}/{len(CONTENT)}")


def broken(server, start):
    server.say(503, b"busy")


@pytest.fixture
def server():
    handler = type("Handler", (Server,), {"answers": [], "ranges": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        handler.url = f"http://127.0.0.1:{running.server_address[1]}/file"
        yield handler
        running.shutdown()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file"


@pytest.mark.parametrize(
    ("there", "answers", "ranges"),
    [
        (CONTENT, [], ["bytes=10240-"]),
        (CONTENT, [only_416], ["bytes=10240-", None]),
        (CONTENT + b"more", [], ["bytes=10244-", None]),
        (CONTENT[:100], [], ["bytes=100-"]),
        (CONTENT[:100], [no_ranges], ["bytes=100-"]),
        (b"another file, longer" * 600, [no_ranges], ["bytes=12000-"]),
    ],
    ids=["finished", "finished, who knows", "longer", "begun", "begun, no ranges", "another file"],
)
def test_what_was_there_before_ends_in_the_right_file(server, path, there, answers, ranges):
    part = path.with_name("file.part")
    part.write_bytes(there)
    server.answers += answers
    assert download(server.url, path) == path
    assert path.read_bytes() == CONTENT
    assert server.ranges == ranges
    assert not part.exists()


@pytest.mark.parametrize(
    ("there", "answer", "words", "left"),
    [
        (b"", half, r"cut off\. Expected 10,240 bytes\. Received: 5,120 bytes", 5120),
        (b"", half_in_chunks, r"IncompleteRead", None),
        (b"", page, r"a web page came \(text/html; charset=utf8\)", None),
        (CONTENT[:100], page, r"a web page came", 100),
        (CONTENT[:100], later_part, r"byte 9,000, and byte 100 is the next", 100),
        (CONTENT[:100], broken, r"503", 100),
        (b"", only_416, r"416", None),
    ],
    ids=["cut", "cut chunk", "page", "page, begun", "another part", "busy", "416 at once"],
)
def test_a_clear_error_and_the_next_call_starts_clean(server, path, there, answer, words, left):
    part = path.with_name("file.part")
    if there:
        part.write_bytes(there)
    server.answers.append(answer)
    with pytest.raises(ConnectionError, match=words) as caught:
        download(server.url, path)
    assert server.url in str(caught.value)
    assert not path.exists()
    if left is not None:
        assert part.read_bytes() == CONTENT[:left]
    assert download(server.url, path).read_bytes() == CONTENT


def test_nobody_answers(path):
    with pytest.raises(ConnectionError, match="Expected an answer from the server"):
        download("http://127.0.0.1:9/file", path)


def test_a_file_that_is_there_is_not_asked_for(server, path):
    path.write_bytes(b"mine")
    assert download(server.url, path).read_bytes() == b"mine"
    assert server.ranges == []


def test_the_folder_is_where_keras_keeps_its_files(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "datasets"
    assert cache_folder("models").is_dir()
