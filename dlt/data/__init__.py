"""Data: one set per file, as NumPy arrays; no TensorFlow needed."""

from dlt.data.bsd import bsd
from dlt.data.cells import cells
from dlt.data.cifar10 import CIFAR10_CLASSES, cifar10
from dlt.data.circles import circles
from dlt.data.clumps import CLUMP_CLASSES, clumps
from dlt.data.edge_distance import edge_distance
from dlt.data.joint_augmentation import JointAugmentation
from dlt.data.noisy_patches import NoisyPatches
from dlt.data.nuclei import borders, nuclei, nuclei_view
from dlt.data.nuclei_crops import nuclei_crops
from dlt.data.photos import photos
from dlt.data.segmentation_patches import SegmentationPatches
from dlt.data.textures import TEXTURE_CLASSES, textures

__all__ = [
    "CIFAR10_CLASSES",
    "CLUMP_CLASSES",
    "TEXTURE_CLASSES",
    "JointAugmentation",
    "NoisyPatches",
    "SegmentationPatches",
    "borders",
    "bsd",
    "cells",
    "cifar10",
    "circles",
    "clumps",
    "edge_distance",
    "nuclei",
    "nuclei_crops",
    "nuclei_view",
    "photos",
    "textures",
]
