"""Which precision trains fast on this processor."""

import keras


def policy(wanted="mixed_bfloat16"):
    """Return a dtype policy, "float32" in place of "mixed_bfloat16" where the processor is slow at it.

    PyTorch imitates bfloat16 on a processor without AVX-512. A step of the masked autoencoder of
    `benchmarks/few_labels.py` took 5 s of CPU on an AMD EPYC 7003 then, and 0.45 s in float32.
    """
    if wanted != "mixed_bfloat16" or keras.backend.backend() != "torch":
        return wanted
    import torch

    if torch.cuda.is_available() or torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return wanted
    return "float32"
