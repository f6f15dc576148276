"""Weights from elsewhere: one loop, one table of names per source."""

from dlt.convert._imagenet import imagenet_checkpoint
from dlt.convert._load import LoadReport, load_weights

__all__ = ["LoadReport", "imagenet_checkpoint", "load_weights"]
