import io

import numpy as np
from matplotlib.colors import to_rgb
from PIL import Image

from dlt import plot


def pixels(fig):
    file = io.BytesIO()
    fig.savefig(file)
    return np.asarray(Image.open(file).convert("RGBA"))


def check(fig):
    """A figure is opaque and white, so it reads on a dark page too, and something is drawn on it."""
    image = pixels(fig)
    assert np.all(image[..., 3] == 255)
    assert np.all(image[0, 0, :3] == 255)
    assert image[..., :3].std() > 5


def test_images(rng):
    fig = plot.images({f"picture {i}": rng.random((8, 8, 3)) for i in range(5)}, columns=3)
    assert [ax.get_title() for ax in fig.axes] == [f"picture {i}" for i in range(5)] + [""]
    check(fig)


def test_curves():
    fig = plot.curves({"a": [3, 2, 1], "b": [1, 2, 3]}, xlabel="epoch", ylabel="loss", log="y")
    (ax,) = fig.axes
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_yscale()) == ("epoch", "loss", "log")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b"]
    assert ax.lines[0].get_xdata().tolist() == [1, 2, 3]
    check(fig)


def test_curves_over_whole_numbers_have_whole_ticks_and_long_ones_no_dots():
    (ax,) = plot.curves({"a": [1, 2, 3]}, x=range(3), xlabel="level", ylabel="share (%)").axes
    assert all(tick == int(tick) for tick in ax.get_xticks())
    assert ax.lines[0].get_marker() == "o"
    (ax,) = plot.curves({"a": [0.5] * 61}, xlabel="step", ylabel="loss").axes
    assert ax.lines[0].get_marker() == ""
    (ax,) = plot.curves({"a": [1, 2, 3]}, x=[1, 10, 100], log="x").axes
    assert ax.get_xscale() == "log"


def test_bars():
    fig = plot.bars({"dense": 10.0, "depthwise": 1.5}, xlabel="GMAC")
    assert {text.get_text() for text in fig.axes[0].texts} == {"10.00", "1.50"}
    assert [label.get_text() for label in fig.axes[0].get_yticklabels()] == ["dense", "depthwise"]
    check(fig)


def test_bars_over_powers_of_ten():
    fig = plot.bars({"norm": 9.9e-1, "epsilon": 3e-7}, xlabel="error", form="{:.1e}", log=True)
    assert fig.axes[0].get_xscale() == "log"
    assert {text.get_text() for text in fig.axes[0].texts} == {"9.9e-01", "3.0e-07"}
    check(fig)


def test_bars_of_nothing():
    for values in ({}, {"none": 0}):
        (ax,) = plot.bars(values, xlabel="parameters").axes
        assert [label.get_text() for label in ax.get_yticklabels()] == ["none"]
        assert ax.get_xlim() == (0, 1)


def test_style_stays_inside():
    import matplotlib as mpl

    before = mpl.rcParams["font.size"]
    plot.bars({"a": 1.0})
    assert mpl.rcParams["font.size"] == before


def test_colours_stand_out_from_white():
    for colour in plot.COLOURS:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
        luminance = np.dot(linear, (0.2126, 0.7152, 0.0722))
        assert 1.05 / (luminance + 0.05) > 2  # contrast


def test_chains():
    fig = plot.chains(
        {"left": [("conv 3 x 3", 64), ("+", None)], "right": [("depthwise", 96), ("norm", None), ("+", None)]}
    )
    words = {text.get_text() for ax in fig.axes for text in ax.texts}
    assert {ax.get_title() for ax in fig.axes} == {"left", "right"}
    assert any("conv 3 x 3" in word for word in words)
    check(fig)


def test_neighbours_never_share_a_colour(rng):
    """Many small squares, two pixels apart and less: any two within the gap differ, and each has one colour."""
    labels = np.zeros((40, 40, 1), int)
    for i in range(100):
        row, column = divmod(i, 10)
        labels[4 * row : 4 * row + 3, 4 * column : 4 * column + 3 + i % 2] = i + 1
    colours = plot.painted(np.zeros((40, 40, 1)), labels)
    of = {number: np.unique(colours[labels[..., 0] == number], axis=0) for number in range(1, 101)}
    assert all(len(colour) == 1 for colour in of.values())
    for i in range(1, 100):
        for j in range(i + 1, 101):
            (one, other), (a, b) = (divmod(n - 1, 10) for n in (i, j)), (of[i][0], of[j][0])
            if max(abs(one[0] - other[0]), abs(one[1] - other[1])) == 1:
                assert np.abs(a - b).max() > 0.09, (i, j)  # the palette's two nearest, tinted
    assert len(np.unique(np.concatenate(list(of.values())), axis=0)) > 3
    np.testing.assert_array_equal(colours[3, 0], 0)  # the background keeps its grey


def test_painting_without_objects_changes_nothing(rng):
    image = rng.random((5, 4, 1))
    np.testing.assert_array_equal(plot.painted(image, np.zeros((5, 4, 1), int)), np.repeat(image, 3, -1))
