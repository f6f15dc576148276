"""Training: losses and targets that Keras lacks, and how much training a machine can bear."""

from dlt.training.binary_crossentropy_dice import BinaryCrossentropyDice
from dlt.training.deep_supervision import DeepSupervision, supervision_weights, target_pyramid
from dlt.training.profile import choose_profile, profile_name
from dlt.training.start import start

__all__ = [
    "BinaryCrossentropyDice",
    "DeepSupervision",
    "choose_profile",
    "profile_name",
    "start",
    "supervision_weights",
    "target_pyramid",
]
