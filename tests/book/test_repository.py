"""The repository's address stands in _config.yml; whatever else names it has to agree."""

import re
import shutil
import subprocess
import sys

import pytest
import yaml

from tests.helpers import ROOT
from tests.test_layout import tracked

CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf8"))
URL = CONFIG["repository"]["url"]


def addresses(root, names):
    for name in names:
        path = root / name
        if path.suffix in (".ipynb", ".md", ".yml", ".cff", ".toml") and path.exists():
            for found in re.findall(r"https://github\.com/([\w.-]*dlt[\w.-]*/[\w-]+)", path.read_text(encoding="utf8")):
                yield name, found.removesuffix(".git")


def test_every_mention_agrees():
    found = list(addresses(ROOT, tracked()))
    assert len(found) > 5
    assert {address for _, address in found} == {URL.removeprefix("https://github.com/")}


def test_the_site_has_the_same_address():
    owner, name = URL.removeprefix("https://github.com/").split("/")
    assert CONFIG["html"]["baseurl"] == f"https://{owner}.github.io/{name}/"


def test_make_repository_moves_everything(tmp_path):
    for name in tracked():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, tmp_path / name)
    for command in (["git", "init", "-q"], ["git", "add", "-A"]):
        subprocess.run(command, cwd=tmp_path, check=True)
    new = "https://github.com/someone/a-fork"
    subprocess.run([sys.executable, "-m", "tools.repository", new], cwd=tmp_path, check=True, capture_output=True)
    old = URL.removeprefix("https://github.com/")
    left = [
        name for name in tracked() if name.endswith((".ipynb", ".md", ".yml")) and old in (tmp_path / name).read_text()
    ]
    assert left == []
    assert yaml.safe_load((tmp_path / "_config.yml").read_text())["repository"]["url"] == new


@pytest.mark.parametrize("url", ["", "github.com/a/b", "https://example.com/a/b"])
def test_a_wrong_address_is_refused(url):
    result = subprocess.run([sys.executable, "-m", "tools.repository", url], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode != 0
    assert "expected URL=https://github.com/OWNER/NAME" in result.stderr
