"""A real browser on the built site, served on localhost."""

import functools
import http.server
import os
import shutil
import threading

import pytest

from tests.helpers import ROOT

HTML = ROOT / "build" / "site" / "_build" / "html"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture(scope="session")
def site():
    """The address of the built site."""
    if not (HTML / "index.html").exists():
        pytest.skip("needs the built site: make book")
    with http.server.ThreadingHTTPServer(("localhost", 0), functools.partial(Silent, directory=HTML)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="session")
def browser():
    if CHROMIUM is None:
        if os.environ.get("CI"):
            pytest.fail("CI has to install Chromium: see .ci/run")
        pytest.skip("needs Chromium, for example `apt install chromium`")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def page(browser, site):
    """A desktop page that remembers what went wrong on this site, and reaches no other."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, base_url=site)
    context.route(lambda url: not url.startswith((site, "data:", "blob:")), lambda route: route.abort())
    page = context.new_page()
    page.problems = []
    page.on("console", lambda message: note(page, message, site))
    page.on("pageerror", lambda error: page.problems.append(f"script error: {error}"))
    page.on("response", lambda r: r.status >= 400 and page.problems.append(f"{r.status} {r.url}"))
    yield page
    context.close()


def note(page, message, site):
    source = message.location.get("url", "")
    if message.type == "error" and (not source or source.startswith(site)):
        page.problems.append(f"console: {message.text} ({source})")
