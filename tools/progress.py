"""A pytest plugin for the chapters: a line with the seconds as each one ends, and a list of those that passed."""

import os
import pathlib

import pytest


class Progress:
    def __init__(self, config: pytest.Config) -> None:
        self.plugins = config.pluginmanager
        self.passed = pathlib.Path(os.environ["DLT_PASSED"])

    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        if report.passed:
            return ("passed" if report.when == "call" else ""), "", ""  # no dots: the lines below say more
        return None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call":
            return
        name = report.nodeid.partition("::")[0]
        if terminal := self.plugins.get_plugin("terminalreporter"):
            terminal.write_line(f"{report.duration:7.1f} s  {report.outcome}  {name}", flush=True)
        if report.passed:
            with self.passed.open("a", encoding="utf8") as file:
                file.write(f"{name}\n")


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Progress(config))
