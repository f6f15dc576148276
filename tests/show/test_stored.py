"""A stored result shows where it comes from."""

import json
import re

import pytest

from dlt.show import stored
from tests.test_assets import RESULTS

NAMES = [path.stem for path in RESULTS]


@pytest.mark.parametrize("name", NAMES)
def test_every_result_of_the_package_loads_and_says_where_it_is_from(name):
    result = stored(name)
    assert result.name == name
    assert "provenance" in result
    assert "\n" not in result.line
    assert len(result.line) < 350
    text, html = repr(result), result._repr_html_()
    assert text.startswith(result.line)
    for key in result["provenance"]:
        assert f"  {key}: {result.provenance[key]}" in text
        assert f"<b>{key}</b>" in html
    assert html.startswith("<details><summary>")


def test_the_line_has_what_matters_most():
    line = stored("residual_cpu").line
    assert re.fullmatch(r"residual_cpu: measured on \d{4}-\d\d-\d\d, seeds 1, 2, 3, CPU:0, 2 cores \(x86_64\)", line)


def write(path, content):
    path.write_text(json.dumps(content), encoding="utf8")
    return path


def test_any_file_with_a_provenance(tmp_path):
    path = write(tmp_path / "mine.json", {"runs": [1], "provenance": {"paper": "A < B", "url": "https://x.org"}})
    assert stored(path)["runs"] == [1]
    assert stored(path).line == "mine: not measured here, from A < B"
    assert "A &lt; B" in stored(path)._repr_html_()


def test_no_result_and_no_provenance_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"no such result.*one of .*residual_cpu.*Received: 'residual'"):
        stored("residual")
    for content in ({"runs": []}, {"provenance": {"note": "by hand"}}, [1]):
        with pytest.raises(ValueError, match="has to say where it comes from"):
            stored(write(tmp_path / "bare.json", content))
