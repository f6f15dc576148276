"""On PyTorch, spare a convolution two copies of its input.

Keras 3.15 copies the input of a channels-last convolution to channels first and, a line later, back again
(`_transpose_spatial_inputs`, then `_maybe_convert_to_channels_last`). A view does: PyTorch's convolutions read it as
it is. The numbers stay the same; a training step of the
denoiser takes 0.20 s of CPU in place of 0.34 (means of 20 steps, one run each, one thread, 16 patches of 64 x 64,
bfloat16). Its depthwise convolutions get faster gradients (`benchmarks/_depthwise.py`), and memory is kept from step
to step (`benchmarks/_memory.py`).
"""

import keras

from benchmarks._memory import keep_memory


def spare_copies():
    """Give Keras on PyTorch views for convolutions, fast gradients and lasting memory; other backends stay."""
    if keras.backend.backend() == "torch":
        from keras.src.backend.torch import nn

        from benchmarks import _depthwise

        nn._transpose_spatial_inputs = lambda inputs: inputs.movedim(-1, 1)
        _depthwise.install(nn)
        keep_memory()
