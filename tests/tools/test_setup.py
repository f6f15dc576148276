"""A machine that lacks something gets one clear line, and half an environment is never taken for a whole one."""

import os
import subprocess
import sys

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
