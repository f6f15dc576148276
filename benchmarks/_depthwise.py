"""A depthwise convolution whose gradients are depthwise convolutions, too: what PyTorch lacks on a CPU.

PyTorch computes the gradient of a depthwise kernel many times slower than the convolution itself (see `main`). But this
gradient is a correlation of each channel of each image with the slope of the same channel: a depthwise convolution
with as many groups as there are channels in all images, and kernels as large as an image; then a sum over the images.

KERAS_BACKEND=torch OMP_NUM_THREADS=1 python -m benchmarks._depthwise
"""

import time

import torch
from torch.nn.functional import conv2d


def images_last(maps):
    """Return maps (B, C, H, W) as (H, W, B * C): one pixel of all maps side by side."""
    return maps.permute(2, 3, 0, 1).flatten(2)


def kernel_gradient(maps, slopes, side):
    """Return the gradient of kernels (C, 1, side, side) from inputs and slopes of the outputs, both (B, C, H, W)."""
    images, channels = maps.shape[:2]
    each = images_last(maps).permute(2, 0, 1)[None], images_last(slopes).permute(2, 0, 1)[:, None]
    apart = conv2d(*each, padding=side // 2, groups=images * channels)
    return apart.reshape(images, channels, side, side).sum(0, dtype=torch.float32)[:, None]


class Depthwise(torch.autograd.Function):
    """`conv2d(maps, kernel, padding=side // 2, groups=channels)` for square kernels of odd side."""

    @staticmethod
    def forward(ctx, maps, kernel):
        """Convolve maps (B, C, H, W) with kernels (C, 1, side, side)."""
        ctx.save_for_backward(maps, kernel)
        return conv2d(maps, kernel, padding=kernel.shape[-1] // 2, groups=len(kernel))

    @staticmethod
    def backward(ctx, slopes):
        """Return both gradients."""
        maps, kernel = ctx.saved_tensors
        side = kernel.shape[-1]
        flipped = kernel.flip(2, 3)
        back = conv2d(slopes, flipped, padding=side // 2, groups=len(kernel)) if ctx.needs_input_grad[0] else None
        return back, kernel_gradient(maps, slopes, side).to(kernel.dtype) if ctx.needs_input_grad[1] else None


def install(nn):
    """Let Keras take it, wherever it fits.

    Args:
        nn: The module `keras.src.backend.torch.nn`.
    """
    usual = nn.depthwise_conv

    def depthwise_conv(inputs, kernel, strides=1, padding="valid", data_format=None, dilation_rate=1):
        height, width, _, multiplier = kernel.shape
        plain = {strides, dilation_rate} <= {1, (1, 1)} and padding == "same" and data_format in (None, "channels_last")
        if not (plain and multiplier == 1 and height == width and height % 2 and inputs.ndim == 4):
            return usual(inputs, kernel, strides, padding, data_format, dilation_rate)
        inputs, kernel = nn.convert_to_tensor(inputs), nn.convert_to_tensor(kernel)
        maps = inputs.contiguous().movedim(-1, 1)
        return Depthwise.apply(maps, kernel.permute(2, 3, 0, 1)).movedim(1, -1)

    nn.depthwise_conv = depthwise_conv


def main():
    """Time both on this machine."""
    for images, side, channels in ((128, 16, 32), (128, 8, 64), (128, 4, 160), (16, 64, 32)):
        maps = torch.randn(images, side, side, channels, dtype=torch.bfloat16).movedim(-1, 1).requires_grad_()
        kernel = torch.randn(channels, 1, 7, 7, dtype=torch.bfloat16, requires_grad=True)
        ways = {"PyTorch": lambda x, k: conv2d(x, k, padding=3, groups=len(k)), "here": Depthwise.apply}
        for name, convolve in ways.items():
            slopes = torch.ones_like(maps)
            seconds = []
            for _ in range(6):
                began = time.process_time()
                convolve(maps, kernel).backward(slopes)
                seconds.append(time.process_time() - began)
            print(f"{images} maps of {channels} x {side} x {side}, {name}: {min(seconds[1:]) * 1e3:.1f} ms of CPU")


if __name__ == "__main__":
    main()
