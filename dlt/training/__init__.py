"""Training: losses, metrics, data and predictions that Keras lacks, and how much of it all a machine can bear."""

from dlt.training.binary_crossentropy_dice import BinaryCrossentropyDice
from dlt.training.deep_supervision import DeepSupervision, supervision_weights, target_pyramid
from dlt.training.dice_coefficient import DiceCoefficient, dice_coefficient
from dlt.training.object_scores import ObjectScores, object_scores, objects
from dlt.training.predict import predict_padded, predict_tiles
from dlt.training.profile import choose_profile, profile_name
from dlt.training.start import start

__all__ = [
    "BinaryCrossentropyDice",
    "DeepSupervision",
    "DiceCoefficient",
    "ObjectScores",
    "choose_profile",
    "dice_coefficient",
    "object_scores",
    "objects",
    "predict_padded",
    "predict_tiles",
    "profile_name",
    "start",
    "supervision_weights",
    "target_pyramid",
]
