"""How a receptive field moves from one output to the next: its ends along one axis, and their steady pace."""

import math

import numpy as np

LONGEST = 64  # outputs after which a map inside a network looks the same again
LARGEST = 2**13  # pixels


def map_axes(pair):
    """Return which axes of a tensor are height and width; None where it is no map, such as class scores.

    They are 2 and 3, and not 1 and 2, only if rows of the image vary along 2, columns along 3, and nothing along 1: a
    map may also have been turned, so that rows of the image vary along 2 and columns along 1.
    """
    if len(pair[0].shape) != 4:
        return None, None
    along = [{axis for axis, side in enumerate(seen.first.shape) if side > 1} for seen in pair]
    channels_first = 1 not in along[0] | along[1] and 2 in along[0] - along[1] and 3 in along[1]
    return (2, 3) if channels_first else (1, 2)


def ends_along(pair, which):
    """Return what the positions along height (0) or width (1) see: first, last, edge, and whether it may be less.

    A position is a whole row or column of the output. If some of its elements see less than all of them together,
    that counts as "may be less".
    """
    seen, axes = pair[which], map_axes(pair)
    rank = len(seen.shape)
    kept = tuple(axis for axis in axes if axis is not None)
    others = tuple(axis for axis in range(rank) if axis not in kept)
    first, last = seen.first.min(others, keepdims=True), seen.last.max(others, keepdims=True)
    edge = seen.edge.any(others, keepdims=True)
    if not kept:
        return first.ravel(), last.ravel(), edge.ravel(), seen.loose
    other = kept[1 - which]
    low, high = first.min(other, keepdims=True), last.max(other, keepdims=True)
    less = bool(((first <= last) & ((first > low) | (last < high))).any())
    ends = low, high, edge.any(other, keepdims=True)
    positions = seen.shape[kept[which]]
    return *(np.broadcast_to(values.ravel(), positions) for values in ends), seen.loose or less


def pace(first, last, inside, longest=None):
    """Return stride, offset and shift of the fields that lie inside, or None if they move at no steady pace.

    After some outputs the same comes again, shifted by a whole number of pixels: the shift.
    """
    at = np.flatnonzero(inside)
    if len(at) < 2:
        return None
    at = np.arange(at[0], at[-1] + 1)
    ends = np.where(first <= last, [first, last], np.nan)[:, at]
    for period in range(1, min(len(at) // 2, longest or len(at)) + 1):
        shifts = ends[:, period:] - ends[:, :-period]
        known = shifts[~np.isnan(shifts)]
        if known.size and np.all(known == known[0]):
            stride = known[0] / period
            centres = ends[:, :period].mean(axis=0) - stride * at[:period]
            return float(stride), float(np.nanmean(centres)), abs(int(known[0]))
    return None


def repeats(trace):
    """Return after how many pixels everything inside a network looks the same again, for height and for width.

    It is the least common multiple of the shifts of all maps: 32 for five halvings, also where five doublings follow.
    """
    found = []
    for which in (0, 1):
        least = 1
        for pair in trace.maps:
            first, last, edge, _ = ends_along(pair, which)
            steady = pace(first, last, ~edge & (first <= last), LONGEST)
            if steady and steady[2] > 0 and math.lcm(least, steady[2]) <= LARGEST:
                least = math.lcm(least, steady[2])
        found.append(least)
    return tuple(found)
