from typing import Any

import keras

from dlt._check import check_rate
from dlt.layers._dropout import Dropout


@keras.saving.register_keras_serializable(package="dlt")
class StochasticDepth(Dropout):
    """Drop a whole residual branch, at random and per sample, while training.

    Each sample of a batch passes through a randomly shallower network; the survivors are scaled up, so that the
    expectation stays what it was and nothing has to change at inference:

    `y = x * keep / (1 - rate)`, with `keep` drawn from {0, 1} once per sample, `P(keep = 1) = 1 - rate`.

    This is dropout whose mask has one entry per sample, so Keras's own `Dropout` does the work.

    Reference: Huang et al. 2016, "Deep Networks with Stochastic Depth" (https://arxiv.org/abs/1603.09382).

    Args:
        rate: Float in [0, 1). The probability that a sample's branch is dropped.
        seed: Optional integer that makes the draws repeatable.

    Input shape: `(batch, height, width, channels)`.
    Output shape: the same.

    Raises:
        ValueError: If `rate` is not in [0, 1).

    >>> layer = StochasticDepth(rate=0.5, seed=0)
    >>> x = keras.ops.ones((64, 2, 2, 3))
    >>> kept = keras.ops.convert_to_numpy(layer(x, training=True))
    >>> sorted(set(kept.ravel().tolist()))
    [0.0, 2.0]
    """

    def __init__(self, rate: float, seed: int | keras.random.SeedGenerator | None = None, **kwargs: Any) -> None:
        super().__init__(check_rate("rate", rate), noise_shape=(None, 1, 1, 1), seed=seed, **kwargs)

    def get_config(self) -> dict:
        config = super().get_config()
        del config["noise_shape"]  # always one entry per sample
        return config
