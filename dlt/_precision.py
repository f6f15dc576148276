import contextlib
import importlib
import types
from collections.abc import Callable, Iterator

import keras


def use_full_float32() -> Callable[[], None]:
    """Let the backend multiply float32 numbers whole from now on, and return a function that takes this back."""
    backend = keras.backend.backend()
    library = importlib.import_module(backend)
    if backend == "tensorflow":
        config = library.config.experimental
        before = config.tensor_float_32_execution_enabled()
        config.enable_tensor_float_32_execution(False)
        return lambda: config.enable_tensor_float_32_execution(before)
    if backend == "jax":
        before = library.config.jax_default_matmul_precision
        library.config.update("jax_default_matmul_precision", "highest")
        return lambda: library.config.update("jax_default_matmul_precision", before)
    if backend == "torch":
        before = library.backends.cudnn.allow_tf32, library.get_float32_matmul_precision()
        set_torch(library, False, "highest")
        return lambda: set_torch(library, *before)
    return lambda: None


def set_torch(torch: types.ModuleType, convolutions: bool, products: str) -> None:
    """Set both of PyTorch's switches: may cuDNN round, and how precise are matrix products."""
    torch.backends.cudnn.allow_tf32 = convolutions
    torch.set_float32_matmul_precision(products)


@contextlib.contextmanager
def full_float32() -> Iterator[None]:
    """Let the backend multiply float32 numbers whole, for the length of a `with` or of the function it decorates.

    NVIDIA's GPUs since Ampere round the factors of matrix products and convolutions to 10 binary digits (TF32), unless
    they are told not to. Training does not mind, but what is equal to 1e-6 elsewhere differs by more than 1e-4.
    `homogeneity`, `homogeneity_breakers`, `translation_error`, `local_filters` and `jacobian` ask for it by themselves.
    Elsewhere than on such a GPU nothing changes.

    >>> with full_float32():
    ...     product = keras.ops.matmul(keras.ops.ones((1, 2)), keras.ops.ones((2, 1)) / 3)
    >>> abs(float(product[0, 0]) - 2 / 3) < 1e-6
    True
    """
    restore = use_full_float32()
    try:
        yield
    finally:
        restore()
