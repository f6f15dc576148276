"""Runs that several processes add to one file."""

import concurrent.futures

import pytest

from benchmarks._runs import add_run, runs_in


def test_no_run_is_lost_when_many_are_added_at_once(tmp_path):
    path = tmp_path / "runs.json"
    assert runs_in(path) == []
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: add_run(path, {"seed": n}, lambda runs: {"runs": runs}), range(40)))
    assert sorted(run["seed"] for run in runs_in(path)) == list(range(40))
    assert [file.name for file in tmp_path.iterdir()] == ["runs.json"]


def test_a_description_that_fails_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "runs.json"
    add_run(path, {"seed": 0}, lambda runs: {"runs": runs})
    with pytest.raises(TypeError):
        add_run(path, {"seed": object()}, lambda runs: {"runs": runs})
    assert runs_in(path) == [{"seed": 0}]
