import time

import keras
import pytest

from dlt.measure import alternate, latency


def test_a_sleep_takes_as_long_as_it_sleeps():
    result = alternate({"short": lambda: time.sleep(0.01), "long": lambda: time.sleep(0.05)}, repeats=5, warmup=1)
    assert 0.01 <= result["short"].median < result["long"].median  # a busy machine oversleeps, so no tight upper bound
    assert 0.05 <= result["long"].median < 1
    assert len(result["long"].seconds) == 5
    assert result["long"].spread >= 0


def test_runs_take_turns_after_the_warm_up():
    order = []
    alternate({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, repeats=3, warmup=2)
    assert order == ["a", "a", "b", "b", *["a", "b"] * 3]


def test_another_clock_counts_work_and_no_waiting():
    runs = {"sleep": lambda: time.sleep(0.1), "work": lambda: sum(range(10**6))}
    cpu = alternate(runs, repeats=3, warmup=1, clock=time.process_time)
    assert cpu["sleep"].median < 0.02 < 0.1 <= min(alternate(runs, repeats=3, warmup=1)["sleep"].seconds)
    assert cpu["work"].median > 0


def test_a_larger_image_takes_longer():
    conv = [keras.layers.Conv2D(32, 3, padding="same") for _ in range(3)]
    model = keras.Sequential([keras.Input((None, None, 3)), *conv])
    small, large = (latency(model, (side, side, 3), repeats=5) for side in (8, 512))  # 4096 times the work
    assert 2 * min(small.seconds) < min(large.seconds)
    assert "ms" in repr(small)


def test_bad_arguments():
    model = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(4, 3)])
    with pytest.raises(ValueError, match="does not fix the shape"):
        latency(model)
    with pytest.raises(ValueError, match="repeats=0"):
        latency(model, (8, 8, 3), repeats=0)
    with pytest.raises(ValueError, match="batch_size=0"):
        latency(model, (8, 8, 3), batch_size=0)
    with pytest.raises(ValueError, match="One run has no spread"):
        latency(model, (8, 8, 3), repeats=1)


def test_several_inputs_and_whole_numbers():
    left, right = keras.Input((4,), name="left"), keras.Input((4,), dtype="int32", name="right")
    model = keras.Model({"left": left, "right": right}, keras.layers.Embedding(3, 1)(right)[..., 0] + left)
    assert len(latency(model, repeats=2, warmup=1).seconds) == 2
