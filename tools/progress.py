"""A pytest plugin for the chapters: a line with the seconds as each one ends, and a list of those that passed."""

import os
import pathlib


class Progress:
    def __init__(self, config):
        self.terminal = config.pluginmanager.get_plugin("terminalreporter")
        self.passed = pathlib.Path(os.environ["DLT_PASSED"])

    def pytest_report_teststatus(self, report):
        return report.outcome, "", ""  # no dots: the lines below say more

    def pytest_runtest_logreport(self, report):
        if report.when != "call":
            return
        name = report.nodeid.partition("::")[0]
        self.terminal.write_line(f"{report.duration:7.1f} s  {report.outcome}  {name}", flush=True)
        if report.passed:
            with self.passed.open("a", encoding="utf8") as file:
                file.write(f"{name}\n")


def pytest_configure(config):
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Progress(config))
