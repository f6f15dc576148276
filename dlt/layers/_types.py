"""The names that the signatures of the layers use."""

from collections.abc import Callable
from typing import Any

import keras

Tensor = Any  # of the backend, a NumPy array, or a keras.KerasTensor
Shape = tuple[int | None, ...]
Regularizer = str | dict | keras.regularizers.Regularizer | None
Activation = str | dict | Callable | None
