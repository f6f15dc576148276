"""One table for chapters and instruments, in HTML and in text."""

import math
import re

import numpy as np
import pytest

from dlt.show import Table, table
from dlt.show.table import as_html

NETWORKS = {"dense": {"parameters": 36864, "time": 3.214}, "pointwise": {"parameters": 4096, "time": 0.4}}


def column(result, index=1):
    return [row[index] for row in result.rows()[1:]]


def values(*numbers, **kwargs):
    return column(table({f"row {i}": number for i, number in enumerate(numbers)}, ["", "value"], **kwargs))


def test_the_same_rows_from_every_kind_of_data():
    tuples = [("dense", 36864, 3.214), ("pointwise", 4096, 0.4)]
    names = ["", "parameters", "time"]
    expected = table(NETWORKS).rows()
    assert expected == [("", "parameters", "time"), ("dense", "36,864", "3.21"), ("pointwise", "4,096", "0.40")]
    for data in (tuples, [dict(zip(names, row, strict=True)) for row in tuples], {row[0]: row[1:] for row in tuples}):
        assert table(data, names).rows() == expected
        assert isinstance(table(data, names), Table)
    assert table(NETWORKS, ["network", "time"]).rows()[0] == ("network", "time")
    assert table([{"a": 1}, {"b": 2}]).rows() == [("a", "b"), ("1", ""), ("", "2")]
    assert table({}, ["layer", "error"]).rows() == [("layer", "error")]


def test_numbers_of_a_column_have_the_same_decimals():
    assert values(0.91234, 0.5) == ["0.912", "0.500"]
    assert values(93.21, 8.113) == ["93.2", "8.1"]
    assert values(1234.5, 99.0) == ["1,234", "99"]
    assert values(1234567, 12) == ["1,234,567", "12"]
    assert values(0.5, 1e-7, 0.0) == ["0.50", "1.0e-07", "0"]
    assert values(5.1, 0.0036, 12345.6) == ["5.1", "0.0036", "12,346"]
    assert values(1e-5, 2e-5) == ["1.0e-05", "2.0e-05"]
    assert values(0.0, 0.0) == ["0", "0"]
    assert values(1.5, float("nan"), float("inf")) == ["1.50", "nan", "inf"]
    assert values(np.float32(0.5), np.int64(2), np.array(1.25)) == ["0.50", "2.00", "1.25"]
    assert values(True, None, "word", np.bool_(False)) == ["yes", "", "word", "no"]
    assert values(0.91234, 12, form=".1f") == ["0.9", "12.0"]


def test_several_numbers_in_a_cell_are_mean_and_standard_deviation():
    assert values([1.0, 2.0, 3.0], np.array([5.0, 5.0]), [4.0]) == ["2.00 ± 1.00", "5.00 ± 0.00", "4.00"]
    assert values([1, 2, 3], form=".1f") == ["2.0 ± 1.0"]
    assert values([], ["a"]) == ["[]", "['a']"]


def test_units_stand_in_the_heading_and_the_column_that_matters_is_bold():
    result = table(NETWORKS, units={"time": "ms"}, form={"time": ".1f"}, mark="time")
    assert result.rows()[0] == ("", "parameters", "time (ms)")
    assert column(result, 2) == ["3.2", "0.4"]
    heavy = re.findall(r"<td style=\"[^\"]*bold\">([^<]*)<", result._repr_html_())
    assert heavy == ["3.2", "0.4"]


def test_numbers_go_to_the_right_and_words_to_the_left():
    html = as_html([("layer", "why", "error"), ("norm", "a < b", "9.9e-01")])
    assert re.findall("text-align:(left|right)", html) == ["left", "left", "right"] * 2
    signed = as_html([("layer", "gain"), ("norm", "+0.3")])
    assert re.findall("text-align:(left|right)", signed) == ["left", "right"] * 2
    assert "a &lt; b" in html
    assert repr(table([("norm", "a < b", 10), ("dense", "c", 9)], ["layer", "why", "error"])).splitlines() == [
        "layer  why    error",
        "norm   a < b     10",
        "dense  c          9",
    ]
    assert "overflow-x:auto" in html
    assert "tabindex=0" in html
    assert "color" not in html
    assert as_html([("a", "b"), ("x", 25 * "y")]).count("min-width") == 1
    assert as_html([("layer", "error")]).count("<th") == 3  # thead and two headers: an empty table is a table


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (({"a": 1},), "no headings"),
        (({"a": (1, 2)}, ["name", "value"]), "A row does not fit the header.*Received: \\('a', 1, 2\\)"),
        ((["ab"], ["x", "y"]), "A row does not fit"),
        ((NETWORKS, ["network", "macs"]), "`columns` names a column.*'macs'"),
        ((NETWORKS, None, {"tyme": ".1f"}), "`form` names a column.*'tyme'"),
        ((NETWORKS, None, None, {"tyme": "ms"}), "`units` names a column"),
        ((NETWORKS, None, None, None, "tyme"), "`mark` names a column"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        table(*arguments)


def test_a_table_needs_rows():
    with pytest.raises(NotImplementedError):
        Table().rows()


def test_a_seed_that_diverged_does_not_hide_the_others():
    text = repr(table({"a": [math.nan, 1.0], "b": [1.0, math.inf], "c": [1.0, 2.0]}, ["recipe", "loss"]))
    assert "nan ± nan" in text
    assert "inf ± nan" in text
    assert "1.50 ± 0.71" in text
