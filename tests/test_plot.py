import io

import numpy as np
import pytest
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


def test_two_objects_that_touch_have_a_line_between_them():
    labels = np.zeros((6, 10, 1), int)
    labels[1:5, 1:5], labels[1:5, 5:9] = 1, 2
    grey = np.full((6, 10, 1), 0.5)
    drawn = plot.outlined(grey, labels, scale=4)
    assert drawn.shape == (24, 40, 3)
    line = (drawn == to_rgb(plot.COLOURS[5])).all(-1)
    np.testing.assert_array_equal(np.flatnonzero(line[12]), [4, 19, 20, 35])  # both sides of the common edge
    np.testing.assert_array_equal(drawn[~line], 0.5)
    both = plot.outlined(grey, np.where(labels == 1, 1, 0), labels, scale=4)
    assert (both[12, 35] == to_rgb(plot.COLOURS[4])).all()
    assert (both[12, 4] == to_rgb(plot.COLOURS[5])).all()


def test_outlines_of_nothing_change_nothing(rng):
    image = rng.random((5, 4, 1))
    expected = np.repeat(image, 3, -1).repeat(2, 0).repeat(2, 1)
    np.testing.assert_array_equal(plot.outlined(image, np.zeros((5, 4, 1), int), scale=2), expected)


def test_outlines_on_any_kind_of_picture(rng):
    image, labels = rng.integers(0, 256, (5, 4, 3), dtype="uint8"), np.zeros((5, 4, 1), int)
    np.testing.assert_array_equal(plot.outlined(image, labels, scale=1), image / 255)
    np.testing.assert_array_equal(plot.outlined(image.astype("uint16") * 257, labels, scale=1), image / 255)
    with pytest.raises(ValueError, match=r"shape=\(5, 4, 4\)"):
        plot.outlined(np.zeros((5, 4, 4)), labels)
