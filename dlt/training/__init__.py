"""Training: how much of it a machine can bear, and a start that tells what it runs on."""

from dlt.training.deep_supervision import DeepSupervision, supervision_weights, target_pyramid
from dlt.training.profile import choose_profile, profile_name, use_xla
from dlt.training.start import start

__all__ = [
    "DeepSupervision",
    "choose_profile",
    "profile_name",
    "start",
    "supervision_weights",
    "target_pyramid",
    "use_xla",
]
