"""Data: one set per file, as NumPy arrays; no TensorFlow needed."""

from dlt.data.bsd import bsd
from dlt.data.cifar10 import CIFAR10_CLASSES, cifar10
from dlt.data.noisy_patches import NoisyPatches
from dlt.data.photos import photos
from dlt.data.textures import TEXTURE_CLASSES, textures

__all__ = ["CIFAR10_CLASSES", "TEXTURE_CLASSES", "NoisyPatches", "bsd", "cifar10", "photos", "textures"]
