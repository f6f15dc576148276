"""Metrics that Keras lacks: the Dice coefficient image by image, and scores that count objects, not pixels."""

from dlt.metrics.dice_coefficient import DiceCoefficient, dice_coefficient
from dlt.metrics.object_scores import ObjectScores, object_scores

__all__ = ["DiceCoefficient", "ObjectScores", "dice_coefficient", "object_scores"]
