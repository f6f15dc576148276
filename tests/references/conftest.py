import keras
import pytest

from dlt.models import ConvNeXtV1, ConvNeXtV2, ConvUNextModel, _acc_unet


@pytest.fixture
def tf():
    """TensorFlow, for the examples that are written in it."""
    if keras.backend.backend() != "tensorflow":
        pytest.skip("this example is written in TensorFlow")
    import tensorflow

    return tensorflow


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    """The examples write files beside themselves."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    """Networks of few channels and blocks, under the names of the large ones: that sizes are right is tested elsewhere.

    ACC-UNet has two levels in place of four, since writing down the graph of its training takes 20 seconds.
    """
    for network in (ConvNeXtV1, ConvNeXtV2):
        sizes = {
            name: {**size, "depths": [1] * 4, "dims": [dim // 8 for dim in size["dims"]]}
            for name, size in network.MODEL_VARIANTS.items()
        }
        monkeypatch.setattr(network, "MODEL_VARIANTS", sizes)
    few = {"initial_filters": 4, "blocks_per_level": 1}
    sizes = {name: {**size, **few} for name, size in ConvUNextModel.MODEL_VARIANTS.items()}
    monkeypatch.setattr(ConvUNextModel, "MODEL_VARIANTS", sizes)
    few = {"base_filters": 2, "mlfc_iterations": 1, "expansion": 3}
    whole = _acc_unet.Parts.__init__
    monkeypatch.setattr(_acc_unet.Parts, "__init__", lambda self, config, policy: whole(self, config | few, policy))
    monkeypatch.setattr(_acc_unet, "DEPTH", 2)
