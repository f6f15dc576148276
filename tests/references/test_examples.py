"""The examples of the documents this package implements run as they stand: only their import lines are changed."""

import pathlib
import re

import keras
import pytest

from dlt.models import create_convnext_v1, create_convnext_v2
from tests.helpers import SHARED

IMPORT = re.compile(r"^from \S*?(?:convnext_v[12]) import", flags=re.MULTILINE)
WEIGHTS = pathlib.Path("path/to/convnext_v2_base_imagenet.keras")  # a file that an example asks its reader to have


def examples(name):
    path = SHARED / "reference" / name
    text = path.read_text(encoding="utf8", errors="replace") if path.exists() else ""
    return re.findall(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


found = [
    pytest.param(IMPORT.sub("from dlt.models import", code), id=f"{name}-{i}")
    for name in ("convnext.md", "convnext_overview.md")
    for i, code in enumerate(examples(name))
]
pytestmark = pytest.mark.skipif(not found, reason="needs the reference documents, which are not part of the project")


def test_all_examples_are_found():
    assert len(found) == 12


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="one example imports TensorFlow")
@pytest.mark.filterwarnings("ignore:Even though the .tf.config.experimental_run_functions_eagerly")
@pytest.mark.parametrize("code", found)
def test_example(code, tmp_path, monkeypatch, request):
    monkeypatch.chdir(tmp_path)
    if "MODEL_VARIANTS" in code or str(WEIGHTS) in code:  # all networks, or a large one
        request.getfixturevalue("born_with_zeros")
    if str(WEIGHTS) in code:
        WEIGHTS.parent.mkdir(parents=True)
        create_convnext_v2("base").save(WEIGHTS)
    # Some examples continue the one before, so what that imported is there; an ellipsis stands for the reader's own.
    names = {"keras": keras, "create_convnext_v1": create_convnext_v1, "create_convnext_v2": create_convnext_v2}
    names["__name__"] = "__main__"
    exec(code.replace("model.compile(...)", "model.compile('adamw', 'categorical_crossentropy')"), names)
    models = [value for value in names.values() if isinstance(value, keras.Model)]
    assert models or "def test_" in code
    assert all(model.built for model in models)
