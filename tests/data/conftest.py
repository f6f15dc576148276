"""A data set's archive and a server that behaves badly, for whatever data set a module's `folder` and `module` are."""

import http.server
import pathlib
import shutil
import threading

import pytest


@pytest.fixture
def archive(folder):
    return pathlib.Path(shutil.make_archive(str(folder), "zip", folder.parent, folder.name))


class Server(http.server.BaseHTTPRequestHandler):
    """Serves `content`; cuts the first `cut` answers off half-way; understands Range if `resumes`."""

    content, cut, resumes, ranges = b"", 0, True, []

    def do_GET(self):
        asked = self.headers.get("Range") if type(self).resumes else None
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        body = self.content[start:]
        type(self).ranges.append(start)
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if type(self).cut:
            type(self).cut -= 1
            body = body[: len(body) // 2]
        self.wfile.write(body)

    def log_message(self, *args):
        """Keep quiet."""


@pytest.fixture
def server(request, archive, monkeypatch, tmp_path):
    handler = type("Handler", (Server,), {"content": archive.read_bytes(), "ranges": []})
    with http.server.ThreadingHTTPServer(("localhost", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        url = f"http://localhost:{running.server_address[1]}/archive.zip"
        monkeypatch.setattr(request.module.module, "URL", url, raising=False)
        monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
        yield handler
        running.shutdown()
