"""Measures: one property per file, `f(model, ...)` -> a small result with units, for any Keras model."""

from dlt.measure.channel_diversity import channel_diversity
from dlt.measure.homogeneity import homogeneity
from dlt.measure.homogeneity_breakers import homogeneity_breakers
from dlt.measure.latency import alternate, latency
from dlt.measure.macs import macs
from dlt.measure.parameters import parameters
from dlt.measure.translation_error import translation_error

__all__ = [
    "alternate",
    "channel_diversity",
    "homogeneity",
    "homogeneity_breakers",
    "latency",
    "macs",
    "parameters",
    "translation_error",
]
