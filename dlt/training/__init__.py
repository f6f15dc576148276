"""Training: losses and targets that Keras lacks, how much training a machine can bear, and how it survives."""

from dlt.training.binary_crossentropy_dice import BinaryCrossentropyDice
from dlt.training.checkpoint import Checkpoint, resume
from dlt.training.deep_supervision import DeepSupervision, supervision_weights, target_pyramid
from dlt.training.profile import choose_profile, profile_name
from dlt.training.start import start

__all__ = [
    "BinaryCrossentropyDice",
    "Checkpoint",
    "DeepSupervision",
    "choose_profile",
    "profile_name",
    "resume",
    "start",
    "supervision_weights",
    "target_pyramid",
]
