"""What every measurement returns prints itself as a table and draws itself."""

import keras
import matplotlib.figure
import numpy as np
import pytest
from keras import layers

from dlt import measure
from dlt.measure._largest import largest
from tests.test_plot import check

NO_RESULT = {"full_float32", "jacobian"}  # an array, to compute with
SHAPE = (16, 16, 3)


def network():
    return keras.Sequential(
        [
            keras.Input(SHAPE),
            layers.Conv2D(4, 3, padding="same", name="conv"),
            layers.LayerNormalization(name="norm"),
            layers.Conv2D(1, 1, activation="gelu", name="head"),
        ]
    )


def image(batch=2):
    return np.random.default_rng(0).normal(size=(batch, *SHAPE)).astype("float32")


RESULTS = {
    "activation_memory": lambda: measure.activation_memory(network()),
    "alternate": lambda: measure.alternate({"a": lambda: sum(range(10)), "b": lambda: sum(range(99))}, repeats=3),
    "channel_diversity": lambda: measure.channel_diversity(image()),
    "effective_receptive_field": lambda: measure.effective_receptive_field(network(), image()),
    "homogeneity": lambda: measure.homogeneity(network(), image()),
    "homogeneity_breakers": lambda: measure.homogeneity_breakers(network()),
    "latency": lambda: measure.latency(network(), repeats=3),
    "local_filters": lambda: measure.local_filters(network(), image()[0], [(4, 4)]),
    "macs": lambda: measure.macs(network()),
    "measured_receptive_field": lambda: measure.measured_receptive_field(network()),
    "parameters": lambda: measure.parameters(network()),
    "receptive_field": lambda: measure.receptive_field(network()),
    "translation_error": lambda: measure.translation_error(network(), image(), shifts=(1, 2)),
}


def test_no_measurement_is_missing():
    assert set(RESULTS) | NO_RESULT == set(measure.__all__)


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="NumPy's arrays are drawn, and each instrument compiles")
@pytest.mark.parametrize("name", RESULTS)
def test_a_result_prints_as_a_table_and_draws_itself(name):
    result = RESULTS[name]()
    header, *rows = result.rows()
    assert rows
    assert {len(row) for row in rows} == {len(header)}
    assert result._repr_html_().count("<tr>") == len(rows) + 1
    assert all(str(cell) in repr(result) for row in rows for cell in row)
    fig = result.plot()
    assert isinstance(fig, matplotlib.figure.Figure)
    words = [ax.get_xlabel() + ax.get_title() for ax in fig.axes if ax.get_label() != "<colorbar>"]
    assert all(words), "an axis that does not say what it shows"
    check(fig)


def test_others_are_drawn_beside():
    fig = RESULTS["latency"]().plot(again=RESULTS["latency"]())
    assert [text.get_text() for text in fig.axes[0].get_legend().get_texts()] == ["model", "again"]
    assert [len(line.get_xdata()) for line in fig.axes[0].lines] == [3, 3]


def test_the_bars_are_the_numbers():
    (ax,) = measure.parameters(network()).plot().axes
    assert [bar.get_width() for bar in ax.patches] == [112, 8, 5]
    (ax,) = measure.macs(network()).plot().axes
    assert [bar.get_width() for bar in ax.patches] == [256 * 27 * 4 / 1e6, 256 * 4 / 1e6]


def test_breakers_are_drawn_by_kind():
    breakers = measure.homogeneity_breakers(network())
    (ax,) = breakers.plot().axes
    assert [label.get_text() for label in ax.get_yticklabels()] == ["Conv2D (2 x)", "LayerNormalization (1 x)"]
    largest = max(b.error for b in breakers if b.kind == "Conv2D")
    assert ax.patches[0].get_width() == min(largest, 1e3)
    assert ax.get_xscale() == "log"
    assert ax.get_xlim()[0] < min(bar.get_width() for bar in ax.patches) / 9


def test_nothing_that_breaks_the_scale_is_a_figure_too():
    kept = keras.Sequential([keras.Input(SHAPE), layers.Conv2D(2, 3, use_bias=False), layers.ReLU()])
    breakers = measure.homogeneity_breakers(kept)
    assert breakers == ()
    check(breakers.plot())


def test_similarity_shows_copies():
    maps = image()[..., :1] * np.array([1.0, -2.0, 0.0])
    result = measure.channel_diversity(maps)
    np.testing.assert_allclose(result.similarity, [[1, 1, 0], [1, 1, 0], [0, 0, 0]], atol=1e-12)
    (picture,) = result.plot().axes[0].images
    np.testing.assert_array_equal(picture.get_array(), result.similarity)


def test_of_many_the_largest_are_kept_in_order():
    counts = {f"layer_{i}": i for i in range(20)}
    kept = largest(counts)
    assert len(kept) == 12
    assert sum(kept.values()) == sum(counts.values())
    assert list(kept) == [*(f"layer_{i}" for i in range(9, 20)), "8 others"]
    assert largest(dict.fromkeys("abc", 1), most=2) == {"c": 1, "2 others": 2}
