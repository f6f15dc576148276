"""A machine that lacks something gets one clear line, and half an environment is never taken for a whole one."""

import os
import re
import subprocess
import sys
import tomllib

import pytest

from tests.helpers import ROOT


@pytest.fixture
def project(tmp_path):
    """A project with the set-up script, and nothing but a package without dependencies to install."""
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "setup.sh").write_bytes((ROOT / "tools" / "setup.sh").read_bytes())
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'nothing'\nversion = '0'\n")
    return tmp_path


def setup(project, *alone, **environment):
    command = ["sh", "tools/setup.sh", ".venv", "requirements.txt", *alone]
    env = {**os.environ, "PYTHON": sys.executable, "PIP_NO_INDEX": "1", **environment}
    return subprocess.run(command, cwd=project, env=env, capture_output=True, text=True)


def test_without_python_there_is_one_clear_line(project):
    result = setup(project, PYTHON="no-such-python")
    assert result.returncode != 0
    (line,) = result.stderr.splitlines()
    assert "no Python 3.11, 3.12 or 3.13" in line
    assert "make PYTHON=" in line
    assert not (project / ".venv").exists()


def test_a_failed_install_is_one_clear_line_every_time_and_is_made_anew(project):
    (project / "requirements.txt").write_text("no-such-package-anywhere==1.0\n")
    for _ in range(2):
        result = setup(project)
        assert result.returncode != 0
        (line,) = result.stderr.splitlines()
        assert "requirements.txt could not be installed" in line
        assert "no-such-package-anywhere" in line
        assert not (project / ".venv" / "ready").exists()


def test_an_environment_of_other_requirements_or_without_python_is_not_taken(project):
    venv = project / ".venv"
    (project / "requirements.txt").write_text("no-such-package-anywhere==1.0\n")
    venv.mkdir()
    (venv / "ready").write_text("of something else")
    assert setup(project).returncode != 0
    key = subprocess.run("cksum <requirements.txt", cwd=project, shell=True, capture_output=True, text=True).stdout
    (venv / "ready").write_text(key)
    assert setup(project).returncode == 0  # now it is whole: nothing to do
    (venv / "bin" / "python").unlink()
    assert setup(project).returncode != 0


def test_what_is_installed_alone_belongs_to_the_environment(project):
    (project / "alone.txt").write_text("no-such-package-anywhere==1.0\n")
    result = setup(project, "alone.txt")
    assert result.returncode != 0
    assert "no-such-package-anywhere" in result.stderr
    venv = project / ".venv"
    key = subprocess.run("cat alone.txt | cksum", cwd=project, shell=True, capture_output=True, text=True).stdout
    (venv / "ready").write_text(key)
    assert setup(project, "alone.txt").returncode == 0
    (project / "alone.txt").write_text("no-such-package-anywhere==2.0\n")
    assert setup(project, "alone.txt").returncode != 0


def extras():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf8"))["project"]["optional-dependencies"]


def test_chapters_here_installs_the_extras_that_chapters_install_in_colab(tmp_path):
    """The exports' packages without what they depend on, which would move Colab's NumPy."""
    for name in ("Makefile", "pyproject.toml"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    log, stand_in = tmp_path / "log", tmp_path / "bin" / "python3"
    for path in (stand_in, tmp_path / "book" / "1-x" / "01-a.ipynb"):
        path.parent.mkdir(parents=True)
        path.touch()
    stand_in.write_text(f'#!/bin/sh\n[ "$1" = -c ] && exec {sys.executable} "$@"\necho "$@" >> {log}\n')
    stand_in.chmod(0o755)
    path = f"{stand_in.parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(["make", "-s", "chapters-here"], cwd=tmp_path, env={**os.environ, "PATH": path}, check=True)
    _, export, serve, run = [line.split() for line in log.read_text().splitlines()]
    assert {*extras()["export"], "--no-deps"} < set(export)
    assert {*extras()["serve"]} < set(serve)
    assert "--nbmake" in run


def test_the_chapter_that_serves_installs_in_colab_what_the_extras_ask_for():
    """But for what only the compiler of LiteRT needs, which the chapter does not use."""
    (chapter,) = (ROOT / "book").glob("[0-9]*/*-export-and-serve.ipynb")
    lines = re.findall(r"%pip install (.*?)(?:\\n)?\"", chapter.read_text(encoding="utf8"))
    asked = {re.match(r"[\w.-]+", each)[0] for name in ("export", "serve") for each in extras()[name]}
    assert asked - {"backports.strenum"} <= set(" ".join(lines).split())
