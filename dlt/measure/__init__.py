"""Measures: one property per file, `f(model, ...)` -> a small result with units, for any Keras model."""

from dlt._precision import full_float32
from dlt.measure.activation_memory import activation_memory
from dlt.measure.channel_diversity import channel_diversity
from dlt.measure.effective_receptive_field import effective_receptive_field
from dlt.measure.homogeneity import homogeneity
from dlt.measure.homogeneity_breakers import homogeneity_breakers
from dlt.measure.latency import alternate, latency
from dlt.measure.local_filters import jacobian, local_filters
from dlt.measure.macs import macs
from dlt.measure.measured_receptive_field import measured_receptive_field
from dlt.measure.parameters import parameters
from dlt.measure.receptive_field import receptive_field
from dlt.measure.translation_error import translation_error

__all__ = [
    "activation_memory",
    "alternate",
    "channel_diversity",
    "effective_receptive_field",
    "full_float32",
    "homogeneity",
    "homogeneity_breakers",
    "jacobian",
    "latency",
    "local_filters",
    "macs",
    "measured_receptive_field",
    "parameters",
    "receptive_field",
    "translation_error",
]
