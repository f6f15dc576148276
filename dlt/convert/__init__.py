"""Weights from elsewhere: one loop, one table of names per source."""

from dlt.convert._load import LoadReport, load_weights
from dlt.convert._onnx import mend_onnx
from dlt.convert._published import PUBLISHED, load_published, published_weights

__all__ = ["PUBLISHED", "LoadReport", "load_published", "load_weights", "mend_onnx", "published_weights"]
