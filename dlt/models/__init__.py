"""Models: how layers are wired. One architecture per file, each a functional Keras model with named layers."""

from dlt.models.acc_unet import AccUNet, create_acc_unet, create_acc_unet_binary, create_acc_unet_multiclass
from dlt.models.cifar10_classifier import create_cifar10_classifier
from dlt.models.convnext_v1 import ConvNeXtV1, create_convnext_v1
from dlt.models.convnext_v2 import ConvNeXtV2, create_convnext_v2
from dlt.models.convunext import (
    ConvUNextModel,
    create_convunext_variant,
    create_inference_model_from_training_model,
)
from dlt.models.convunext_denoiser import create_convunext_denoiser
from dlt.models.denoiser import create_denoiser
from dlt.models.masked_autoencoder import MaskedAutoencoder
from dlt.models.nuclei_segmenter import create_nuclei_segmenter
from dlt.models.residual_unet import ResidualUNet
from dlt.models.unet import UNet

__all__ = [
    "AccUNet",
    "ConvNeXtV1",
    "ConvNeXtV2",
    "ConvUNextModel",
    "MaskedAutoencoder",
    "ResidualUNet",
    "UNet",
    "create_acc_unet",
    "create_acc_unet_binary",
    "create_acc_unet_multiclass",
    "create_cifar10_classifier",
    "create_convnext_v1",
    "create_convnext_v2",
    "create_convunext_denoiser",
    "create_convunext_variant",
    "create_denoiser",
    "create_inference_model_from_training_model",
    "create_nuclei_segmenter",
]
