"""Metrics that Keras lacks: the Dice coefficient image by image, and scores that count objects, not pixels."""

from dlt.metrics.average_precision import AveragePrecision, average_precision
from dlt.metrics.dice_coefficient import DiceCoefficient, dice_coefficient
from dlt.metrics.object_scores import ObjectScores, merges, object_scores

__all__ = [
    "AveragePrecision",
    "DiceCoefficient",
    "ObjectScores",
    "average_precision",
    "dice_coefficient",
    "merges",
    "object_scores",
]
