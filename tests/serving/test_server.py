"""The server of chapter 25: good answers, clear refusals, and nothing lost under load."""

import collections
import contextlib
import http.client
import io
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
from PIL import Image

import dlt
from tests.helpers import ROOT

httpx = pytest.importorskip("httpx")
psutil = pytest.importorskip("psutil")
for needed in ("fastapi", "uvicorn", "onnxruntime", "tf2onnx"):
    pytest.importorskip(needed)
pytestmark = [
    pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the network is exported from TensorFlow"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The denoiser as an ONNX file."""
    path = tmp_path_factory.mktemp("model") / "denoiser.onnx"
    network = dlt.models.create_denoiser(pretrained=True)
    network(np.zeros((1, 32, 32, 1), "float32"))
    network.export(path, format="onnx", verbose=False)
    return path


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def healthy(port):
    with contextlib.suppress(OSError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=10).close()
        return True
    return False


def start(model, port, before=(), **settings):
    """Start the server, or `before`, which starts it, and wait until it is healthy."""
    environment = {**os.environ, "MODEL": str(model), **{name: str(value) for name, value in settings.items()}}
    command = [sys.executable, *before, "-m", "uvicorn", "server:app", "--port", str(port), "--log-level", "warning"]
    server = subprocess.Popen(command, cwd=ROOT / "dlt" / "assets" / "serving", env=environment)
    for _ in range(600):
        if healthy(port):
            return server
        assert server.poll() is None, "the server has stopped"
        time.sleep(0.1)
    server.kill()
    raise AssertionError("the server did not answer in a minute")


@contextlib.contextmanager
def serving(model, **settings):
    """A client of a server that lives no longer than the block."""
    port = free_port()
    server = start(model, port, **settings)
    limits = httpx.Limits(max_connections=100)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, limits=limits) as client:
            client.server = psutil.Process(server.pid)
            yield client
    finally:
        server.kill()
        server.wait()


@pytest.fixture(scope="module")
def client(model):
    with serving(model, BATCH=4, WAITING=8) as client:
        yield client


def png(pixels, form="PNG"):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form)
    return file.getvalue()


def photo(height, width):
    clean = dlt.data.photos("camera")["camera"][60 : 60 + height, 100 : 100 + width, 0]
    noise = np.random.default_rng(0).normal(0, 20, clean.shape)
    return np.clip(clean + noise, 0, 255).astype("uint8")


def pixels_of(answer):
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content))).astype(int)


def load(client, requests, clients, body):
    """Send requests from several clients at once, each on a connection of its own; return the codes and seconds."""

    def several(_):
        connection = http.client.HTTPConnection(client.base_url.host, client.base_url.port, timeout=60)
        found = []
        for _ in range(requests // clients):
            began = time.perf_counter()
            connection.request("POST", "/denoise", body)
            answer = connection.getresponse()
            answer.read()
            found.append((answer.status, time.perf_counter() - began))
        connection.close()
        return found

    with ThreadPoolExecutor(clients) as pool:
        return [one for found in pool.map(several, range(clients)) for one in found]


@pytest.mark.parametrize("sides", [(64, 96), (33, 47), (1, 1)])
def test_the_answer_is_that_of_the_network(client, sides):
    given = photo(*sides)
    network = dlt.models.create_denoiser(pretrained=True)
    expected = 255 * np.asarray(network((given / 255).astype("float32")[None, ..., None]))[0, ..., 0]
    found = pixels_of(client.post("/denoise", content=png(given)))
    assert np.abs(found - np.clip(expected, 0, 255)).max() <= 0.51


def test_requests_of_mixed_sizes_get_their_own_answers(client):
    """A batch has one size, and nobody gets the picture of somebody else."""
    given = [photo(16 + 8 * (i % 3), 16 + i) for i in range(12)]
    alone = [pixels_of(client.post("/denoise", content=png(one))) for one in given]

    def patient(body):
        while (answer := client.post("/denoise", content=body)).status_code == 503:
            time.sleep(0.05)
        return pixels_of(answer)

    with ThreadPoolExecutor(12) as pool:
        together = list(pool.map(patient, map(png, given)))
    for one, other in zip(alone, together, strict=True):
        assert np.abs(one - other).max() <= 1


BAD = {  # name: body, code, words
    "empty": (b"", 415, "Received: 0 bytes that are none"),
    "no image": (b"hello", 415, "Expected a PNG or JPEG image"),
    "half an image": (png(photo(64, 64))[:1500], 400, "cannot be read to its end"),
    "half a JPEG": (png(photo(64, 64), "JPEG")[:900], 400, "cannot be read to its end"),
    "too many bytes": (b"\x00" * 5_000_000, 413, "at most 4,000,000 bytes"),
    "too many pixels": (png(np.zeros((1, 30_000), "uint8")), 413, "at most 1024 pixels a side"),
    "a bomb": (png(np.zeros((20_000, 20_000), "uint8")), 413, "at most 1024 pixels a side"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_gets_a_clear_answer_and_does_no_harm(client, name):
    body, code, words = BAD[name]
    before = client.server.memory_info().rss
    answer = client.post("/denoise", content=body)
    assert answer.status_code == code
    assert words in answer.json()["detail"]
    assert pixels_of(client.post("/denoise", content=png(photo(32, 32)))).shape == (32, 32)
    assert client.server.memory_info().rss < before + 50e6


def test_bad_and_good_from_eight_threads_each_get_their_own_answer(client):
    """The good ones are of one size, so that they share batches, and no two answers are alike."""
    given = [np.roll(photo(24, 24), 3 * i, axis=0) for i in range(8)]
    alone = [pixels_of(client.post("/denoise", content=png(one))) for one in given]

    def alternating(i):
        found = []
        for name in (list(BAD) * 2)[i : i + len(BAD)]:
            code = client.post("/denoise", content=BAD[name][0]).status_code
            found.append((name, code, pixels_of(client.post("/denoise", content=png(given[i])))))
        return found

    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(alternating, range(8)))
    for i, found in enumerate(together):
        assert [code for _, code, _ in found] == [BAD[name][1] for name, _, _ in found]
        assert {name for name, _, _ in found} == set(BAD)
        for _, _, pixels in found:
            assert [j for j in range(8) if np.abs(pixels - alone[j]).max() <= 1] == [i]


def test_overload_is_refused_at_once_and_the_rest_is_answered_in_bounded_time(model):
    """Whoever gets in waits for at most WAITING others: a bound that comes from one run alone."""
    body, waiting = png(photo(128, 128)), 4
    with serving(model, WAITING=waiting) as client:
        alone = np.median([seconds for _, seconds in load(client, 8, 1, body)])
        found = load(client, 120, 30, body)
        codes = collections.Counter(code for code, _ in found)
        served, refused = ([seconds for code, seconds in found if code == wanted] for wanted in (200, 503))
        assert set(codes) == {200, 503}
        assert codes[200] > waiting
        bound = (waiting + 2) * alone
        assert np.percentile(served, 99) < 2 * bound + 1  # the clients take their share of the cores
        assert max(served) < 4 * bound + 1
        assert max(refused) < bound + 1
        assert client.post("/denoise", content=body).status_code in (200, 503)
        assert client.get("/health").json() == {"waiting": 0, "at_most": waiting}


PARENT = "import subprocess, sys; subprocess.run([sys.executable, *sys.argv[1:]])"


def test_a_server_whose_parent_is_killed_ends_by_its_own_alarm(model):
    """What `SECONDS` is for: nobody is left to end it, and it goes on until then."""
    port = free_port()
    parent = start(model, port, before=("-c", PARENT), SECONDS=10)
    (server,) = psutil.Process(parent.pid).children()
    try:
        parent.kill()
        parent.wait()
        assert healthy(port)
        for _ in range(300):
            if not healthy(port):
                break
            time.sleep(0.2)
        assert not healthy(port)
        psutil.wait_procs([server], timeout=30)
        assert not server.is_running() or server.status() == psutil.STATUS_ZOMBIE
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            server.kill()


@pytest.mark.parametrize("name", ["BATCH", "WAITING"])
def test_limits_that_are_none_are_refused(name, monkeypatch):
    """A queue of size 0 would have no bound at all."""
    monkeypatch.setenv(name, "0")
    with pytest.raises(ValueError, match=rf"of at least 1\. Received: .*{name}=0"):
        runpy.run_path(str(ROOT / "dlt" / "assets" / "serving" / "server.py"))


def test_refusals_say_when_to_come_back(model):
    with serving(model, WAITING=1) as client, ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: client.post("/denoise", content=png(photo(128, 128))), range(40)))
        refused = [answer for answer in answers if answer.status_code == 503]
        assert refused
        assert {answer.headers["retry-after"] for answer in refused} == {"1"}
        assert "Too many images are waiting" in refused[0].json()["detail"]


def test_five_thousand_requests_leave_no_memory_behind(model):
    """The first thousand fill caches; the control is that the server keeps a batch of images in sight at all."""
    body = png(photo(16, 16))
    with serving(model, BATCH=4, WAITING=32) as client:
        codes = collections.Counter()
        codes.update(code for code, _ in load(client, 1000, 8, body))
        before = client.server.memory_info().rss
        codes.update(code for code, _ in load(client, 4000, 8, body))
        after = client.server.memory_info().rss
        assert codes == {200: 5000}
        assert after - before < 20e6
        load(client, 1, 1, png(photo(452, 412)))
        assert client.server.memory_info().rss > after + 20e6


def test_killed_under_load_and_started_again_it_loses_nothing_for_who_asks_again(model):
    port, body, done = free_port(), png(photo(32, 32)), []
    servers = [start(model, port, WAITING=32)]
    client, problems = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30), []

    def patient(_):
        while True:
            try:
                answer = client.post("/denoise", content=body)
            except httpx.TransportError as error:
                problems.append(type(error).__name__)
                time.sleep(0.2)
                continue
            done.append(answer.status_code)
            return answer.status_code

    def kill_and_start():
        while len(done) < 20:
            time.sleep(0.01)
        servers[0].send_signal(signal.SIGKILL)
        servers[0].wait()
        servers.append(start(model, port, WAITING=32))

    try:
        killer = threading.Thread(target=kill_and_start)
        killer.start()
        with ThreadPoolExecutor(8) as pool:
            codes = list(pool.map(patient, range(120)))
        killer.join()
        assert codes == [200] * 120
        assert problems
        assert len(servers) == 2
    finally:
        client.close()
        for server in servers:
            server.kill()
            server.wait()
