"""The examples of ACC-UNet's reference run in their order: only their import lines are changed.

Some continue the one before, so all share one namespace; in it is what a reader is asked to have. The examples are
about the interface, so the networks are narrow here and train on a few images; that the sizes are right is tested
elsewhere.
"""

import re

import keras
import numpy as np
import pytest

from dlt.models import acc_unet, create_acc_unet, create_acc_unet_binary, create_acc_unet_multiclass
from tests.references.test_examples import examples

CODE = examples("acc_unet.md")
IMPORTS = (
    (re.compile(r"^from \S*acc_unet\.model import", flags=re.MULTILINE), "from dlt.models import"),
    (re.compile(r"^from dl_techniques\.layers\.\S+ import", flags=re.MULTILINE), "from dlt.layers import"),
)
pytestmark = [
    pytest.mark.skipif(not CODE, reason="needs the reference documents, which are not part of the project"),
    pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the examples import TensorFlow"),
]


def runnable(code):
    """Return an example with its import lines changed."""
    for pattern, new in IMPORTS:
        code = pattern.sub(new, code)
    return code


def narrow(**kwargs):
    """Return an ACC-UNet as the reader asks for, but with few filters."""
    return NETWORK(**{**kwargs, "base_filters": 2, "mlfc_iterations": 1, "expansion": 3})


NETWORK, FIT = acc_unet.AccUNet, keras.Model.fit


def short_fit(self, x, y, validation_data, **kwargs):
    """Train one epoch on a few images."""
    few = tuple(array[:2] for array in validation_data)
    return FIT(self, x[:4], y[:4], validation_data=few, **{**kwargs, "epochs": 1, "verbose": 0})


def reader_has():
    """Return the names that the examples use without defining them."""
    return {
        "keras": keras,
        "np": np,
        "create_acc_unet": create_acc_unet,
        "create_acc_unet_binary": create_acc_unet_binary,
        "create_acc_unet_multiclass": create_acc_unet_multiclass,
        "channels": [64, 128, 256, 512],
        "encoder_features": [np.ones((1, 16 // 2**i, 24 // 2**i, 64 * 2**i), "float32") for i in range(4)],
        "__name__": "__main__",
    }


def test_all_examples_are_found():
    assert len(CODE) == 12


@pytest.mark.filterwarnings("ignore::UserWarning")  # the examples are not ours to change
def test_examples(tmp_path, monkeypatch):
    monkeypatch.setattr(acc_unet, "AccUNet", narrow)
    monkeypatch.setattr(keras.Model, "fit", short_fit)
    monkeypatch.chdir(tmp_path)
    names = reader_has()
    for number, code in enumerate(CODE):
        exec(compile(runnable(code), f"example {number}", "exec"), names)
        keras.config.set_dtype_policy("float32")
    assert [x.shape[1] for x in names["mlfc"](names["encoder_features"])] == [16, 8, 4, 2]
    assert {path.name for path in tmp_path.iterdir()} >= {"acc_unet_model.keras", "test_accunet.keras"}
