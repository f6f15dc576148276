"""The example that a reader copies first runs as it stands, on the front page and in the README."""

import re

import numpy as np
import pytest

import dlt
from tests.helpers import ROOT


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file of the size that it names, with 1,000 classes; in Keras's own format, which needs no PyTorch."""
    path = tmp_path_factory.mktemp("weights") / "atto.weights.h5"
    dlt.models.create_convnext_v2("atto", num_classes=1000, input_shape=(224, 224, 3)).save_weights(path)
    return path


@pytest.mark.parametrize("page", ["README.md", "book/index.md"])
def test_the_first_example_runs(page, weights):
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf8"), flags=re.DOTALL)
    code, files = re.subn(r'"[\w.]+\.(pth|safetensors)"', repr(str(weights)), example)
    assert files == 1
    scope = {}
    exec(code, scope)
    assert scope["model"](np.zeros((1, 32, 32, 3), "float32")).shape == (1, 10)
    with pytest.raises(ValueError, match="name the layers to leave out in `skip=`"):
        exec(re.sub(r"skip=\(.*?\),?", "", code), scope)
