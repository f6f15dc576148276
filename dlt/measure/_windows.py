"""Rules for operations that slide a window over a map: what does each output read along each axis?"""

import dataclasses

import keras
import numpy as np
from keras import ops

from dlt.measure._seen import NO_TAP, Seen, look_up, product, summed_up, taps_of

ROUNDING = 1e-5  # a weight up to this may be a rounding error of a position


def data_format(op):
    """Return "channels_last" or "channels_first"; None for an operation that knows neither."""
    return (op.data_format or keras.config.image_data_format()) if hasattr(op, "data_format") else None


def spatial_axes(op, rank):
    """Return the axes of a tensor over which windows slide."""
    return range(2, rank) if data_format(op) == "channels_first" else range(1, rank - 1)


def channel_axis(op, rank):
    """Return the one axis that is neither the batch nor slid over."""
    return 1 if data_format(op) == "channels_first" else rank - 1


def per_axis(value, count):
    """Return an argument as a tuple with one number per axis."""
    return (value,) * count if isinstance(value, int) else tuple(value)


def has_zeros(x):
    """Return whether an argument is an array of numbers some of which are zero, so that not all of it counts."""
    if isinstance(x, (Seen, keras.KerasTensor, keras.Variable)) or not hasattr(x, "shape"):
        return False
    return not np.all(ops.convert_to_numpy(x))


def slide(op, shape, x, size, stride, dilation, taps):
    """Look through windows along every spatial axis; `taps` tells what each output reads along one of them."""
    axes = spatial_axes(op, len(shape))
    for i, axis in enumerate(axes):
        k, s, d = (per_axis(value, len(axes))[i] for value in (size, stride, dilation))
        x = look_up(x, axis, taps(op, x.shape[axis], shape[axis], k, s, d))
    return dataclasses.replace(x, shape=tuple(shape))


def window_taps(op, n_in, n_out, k, s, d):
    """Return what output j of a window reads: j s + t d - padding, for its taps t = 0 .. k - 1."""
    reach = (k - 1) * d
    overhang = max((n_out - 1) * s + reach + 1 - n_in, 0)
    left = {"same": overhang // 2, "causal": reach}.get(op.padding, 0)  # an odd pixel goes to the right
    return np.arange(n_out) * s - left + np.arange(k)[:, None] * d


def stamp_taps(op, n_in, n_out, k, s, d):
    """Return what output j of a transposed convolution reads: every i whose stamp, i s + t d - padding, hits j."""
    side, left = (k - 1) * d + 1, 0
    if op.output_padding is not None:
        left = cut_stamps(op, k, s, d)
    elif op.padding == "same":
        overlap = s + side - 2
        left = side - 1 - min(overlap - overlap // 2, side - 1)
    at = np.arange(n_out) + left - np.arange(k)[:, None] * d
    return np.where(at % s == 0, at // s, NO_TAP)


def cut_stamps(op, k, s, d):
    """Return how far the first stamp is cut off when there is output padding; backends differ, so one is stamped."""
    at = (k - 1) * d // s + 2  # far enough from the border
    image = np.zeros((1, 2 * at + 1, 2 * at + 1, 1), "float32")
    image[0, at, at] = 1
    more = op.output_padding if isinstance(op.output_padding, int) else op.output_padding[0]
    stamp = ops.conv_transpose(image, np.ones((k, k, 1, 1), "float32"), s, op.padding, more, "channels_last", d)
    return at * s - int(np.flatnonzero(ops.convert_to_numpy(stamp).any((0, 2, 3)))[0])


def convolution(op, shape, x, kernel, *more, taps=window_taps):
    """Conv, SeparableConv: windows, and sums over channels or over groups of them."""
    if not isinstance(x, Seen) or any(map(has_zeros, (kernel, *more))):
        raise NotImplementedError  # an array in place of weights: its zeros tell what is not read
    channel = channel_axis(op, len(shape))
    one_group = more or taps is stamp_taps or x.first.shape[channel] == 1
    groups = 1 if one_group else x.shape[channel] // kernel.shape[-2]
    summed = sum_groups(x, channel, groups, 1 if groups == 1 else shape[channel])
    found = slide(op, shape, summed, kernel.shape[: len(shape) - 2], op.strides, op.dilation_rate, taps)
    return weighted(found, kernel, *more)


def weighted(found, *kernels):
    """Return what a convolution sees where its kernels are computed from the image, as by another network."""
    computed = [kernel for kernel in kernels if isinstance(kernel, Seen)]
    if any(kernel.first.size > 1 for kernel in computed):
        raise NotImplementedError  # its elements see different pixels
    return product([found, *(summed_up(x, found.shape) for x in computed)], found.shape) if computed else found


def sum_groups(x, channel, groups, count):
    """Return sums over groups of channels, as `count` channels; unlike `reduce`, they are none over the image."""
    sides = x.first.shape
    cut = [*sides[:channel], groups, sides[channel] // groups, *sides[channel + 1 :]]

    def total(values, over):
        return np.repeat(over(values.reshape(cut), axis=channel + 1), count // groups, channel)

    shape = [count if axis == channel else side for axis, side in enumerate(x.shape)]
    return x.with_arrays(shape, total(x.first, np.min), total(x.last, np.max), total(x.edge, np.any))


def grouped(layer, shape, x):
    """Conv2D as a layer, for the one case that Keras cannot trace: groups."""
    return convolution(layer, shape, x, layer.kernel)


def transposed(op, shape, x, kernel):
    """ConvTranspose: stamps that overlap."""
    return convolution(op, shape, x, kernel, taps=stamp_taps)


def depthwise(op, shape, x, kernel):
    """DepthwiseConv: windows, each channel for itself, and its outputs side by side."""
    if not isinstance(x, Seen) or has_zeros(kernel):
        raise NotImplementedError
    channel = channel_axis(op, len(shape))
    if x.first.shape[channel] > 1:
        x = sum_groups(x, channel, x.shape[channel], shape[channel])
    return weighted(slide(op, shape, x, kernel.shape[:-2], op.strides, op.dilation_rate, window_taps), kernel)


def pooling(op, shape, x):
    """MaxPool, AveragePool: windows, each channel for itself."""
    return slide(op, shape, x, op.pool_size, op.strides or op.pool_size, 1, window_taps)


def adaptive(op, shape, x):
    """AdaptiveAveragePool, AdaptiveMaxPool: output j of m reads its m-th part, rounded outwards."""
    axes = spatial_axes(op, len(x.shape))  # (`shape` has one axis too many: Keras)
    for axis, m in zip(axes, per_axis(op.output_size, len(axes)), strict=True):
        n = x.shape[axis]
        begin, end = np.arange(m) * n // m, -(np.arange(1, m + 1) * -n // m)
        at = np.arange(n)
        x = look_up(x, axis, taps_of((at >= begin[:, None]) & (at < end[:, None])))
    return x


def patches(op, shape, x):
    """ExtractPatches: the pixels of a window side by side, as channels."""
    axes, channel = spatial_axes(op, len(shape)), channel_axis(op, len(shape))
    if len(axes) != len(op.size):
        raise NotImplementedError
    strides = per_axis(op.strides or op.size, len(axes))
    dilation = per_axis(op.dilation_rate, len(axes))
    parts = []
    for offset in np.ndindex(*op.size):
        part = x.spread(channel)
        for axis, t, k, s, d in zip(axes, offset, op.size, strides, dilation, strict=True):
            part = look_up(part, axis, window_taps(op, x.shape[axis], shape[axis], k, s, d)[t : t + 1])
        parts.append(part)
    arrays = ([getattr(part, name) for part in parts] for name in ("first", "last", "edge"))
    return x.with_arrays(shape, *(np.concatenate(np.broadcast_arrays(*values), channel) for values in arrays)).pressed()


def resize(op, shape, x):
    """Resize is linear in its input, so what it does to the identity matrix tells what it reads.

    Backends compute positions in float32, so that a pixel may have a weight of up to 1e-6 where 0 is meant, and the
    tails of Lanczos's windows are as small: such pixels count, and the answer is "at most".
    """
    if op.crop_to_aspect_ratio or op.pad_to_aspect_ratio:
        raise NotImplementedError
    for axis in spatial_axes(op, len(shape)):
        if x.first.shape[axis] > 1 or x.shape[axis] == 1:
            identity = np.eye(x.shape[axis], dtype="float32")[None, :, None, :]
            weights = ops.image.resize(
                identity, (shape[axis], 1), op.interpolation, op.antialias, data_format="channels_last"
            )
            weights = np.abs(ops.convert_to_numpy(weights)[0, :, 0, :])
            found, sure = (look_up(x, axis, taps_of(weights > least)) for least in (0, ROUNDING))
            same = np.array_equal(found.first, sure.first) and np.array_equal(found.last, sure.last)
            x = dataclasses.replace(found, edge=sure.edge, loose=found.loose or not same)
    return dataclasses.replace(x, shape=tuple(shape))
