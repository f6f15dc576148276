import json
import sys

import numpy as np
import pytest

from benchmarks import chapter_seeds
from benchmarks.chapter_seeds import code_cells, run
from dlt._precision import use_full_float32

CELLS = (
    """import sys

if "google.colab" in sys.modules:
    %pip install -q something
import dlt

dlt.training.start(seed=7)""",
    """import keras
import numpy as np

profile = dlt.training.choose_profile(quick={"count": 3}, full={"count": 9})""",
    """keras.utils.set_random_seed(7)
drawn = np.random.default_rng(7).normal(size=profile.count)""",
    """kept = {"sum": drawn.sum(), "other": np.random.default_rng(70).integers(7)}
assert kept["sum"] > 1e9
kept = None""",
    "raise ValueError('this cell is not run')",
)


@pytest.fixture(autouse=True)
def precision_as_it_was():
    """A chapter's first cell has float32 multiplied whole from then on: not for the tests that come after."""
    take_back = use_full_float32()
    yield
    take_back()


@pytest.fixture
def chapter(tmp_path):
    path = tmp_path / "chapter.ipynb"
    cells = [{"cell_type": "markdown", "source": ["seed=7"]}]
    cells += [{"cell_type": "code", "source": cell.splitlines(keepends=True)} for cell in CELLS]
    path.write_text(json.dumps({"cells": cells}), encoding="utf8")
    return path


def test_another_seed_draws_other_numbers_and_a_failing_assertion_is_named(chapter):
    sources, old = code_cells(chapter)
    assert old == 7
    tables, failed = run(sources, old, 8, ["drawn", "kept"], "kept = ")
    expected = np.random.default_rng(8).normal(size=3)
    np.testing.assert_allclose(tables["drawn"], expected, atol=1e-4)
    assert tables["kept"] == {"sum": round(expected.sum(), 4), "other": np.random.default_rng(70).integers(7)}
    assert failed == ['assert kept["sum"] > 1e9']
    assert run(sources, old, 7, ["drawn"], "drawn = ")[0] != run(sources, old, 8, ["drawn"], "drawn = ")[0]


def test_a_text_that_no_cell_has_is_refused_before_anything_runs():
    with pytest.raises(ValueError, match=r"No cell has the text.*Received: 'nowhere'"):
        run(["raise AssertionError('this ran')"], 7, 8, [], "nowhere")


def test_the_file_says_where_its_numbers_come_from(chapter, tmp_path, monkeypatch):
    out = tmp_path / "out.json"
    options = ["--tables", "drawn", "--until", "drawn = ", "--set", "count=4", "--seeds", "1", "2", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["chapter_seeds", str(chapter), *options])
    monkeypatch.setattr(chapter_seeds.dlt.training, "choose_profile", chapter_seeds.dlt.training.choose_profile)
    monkeypatch.setenv("DLT_PROFILE", "full")
    chapter_seeds.main()
    result = json.loads(out.read_text(encoding="utf8"))
    assert [run["seed"] for run in result["runs"]] == result["provenance"]["seed"] == [1, 2]
    assert [len(run["drawn"]) for run in result["runs"]] == [4, 4]
    assert result["settings"] == {"count": 4}
    assert "--until 'drawn = ' --set count=4 --seeds 1 2" in result["provenance"]["command"]


def test_a_list_of_seeds_in_the_profile_is_another_one_for_each_run():
    assert chapter_seeds.moved({"seeds": (1, 2), "count": 3}, 4) == {"seeds": (401, 402), "count": 3}
    assert chapter_seeds.moved({"count": 3}, 4) == {"count": 3}
