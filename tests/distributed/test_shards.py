"""No two workers see the same image in an epoch, and together they see all of them."""

import itertools

import numpy as np
import pytest

pytest.importorskip("tensorflow")
from dlt.assets.distributed.shards import dataset, write

IMAGES = np.random.default_rng(0).integers(0, 256, (96, 4, 6), dtype="uint8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("shards")
    write(path, IMAGES, count=12)
    return path


def epoch(folder, world, order):
    """Return for each worker the numbers of its images; their pixels have to be the ones that were written."""
    seen = []
    for rank in range(world):
        batches = [(n.numpy(), p.numpy()) for n, p in dataset(folder, rank, world, batch=8, order=order)]
        assert all(len(numbers) == 8 for numbers, _ in batches)
        for numbers, pixels in batches:
            np.testing.assert_array_equal(pixels.reshape(8, 4, 6), IMAGES[numbers])
        seen.append([int(number) for numbers, _ in batches for number in numbers])
    return seen


@pytest.mark.parametrize("world", [1, 2, 3, 4, 12])
def test_each_image_is_seen_once(folder, world):
    for order in (1, 2):
        seen = epoch(folder, world, order)
        assert sorted(itertools.chain(*seen)) == list(range(96))
        assert len({len(numbers) for numbers in seen}) == 1


def test_epochs_differ_and_repeat(folder):
    first, again, second = (epoch(folder, 2, order) for order in (1, 1, 2))
    assert first == again
    assert set(first[0]) != set(second[0])


def test_left_to_chance_some_are_seen_twice(folder):
    twice = [set(mine) & set(yours) for mine, yours in (epoch(folder, 2, None) for _ in range(4))]
    assert any(twice)
