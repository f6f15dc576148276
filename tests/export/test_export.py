"""Every family of networks leaves Keras: SavedModel, ONNX and LiteRT give what Keras gives, at open and odd sizes."""

import keras
import numpy as np
import pytest
from keras import ops

from dlt import layers, models
from dlt.convert import mend_onnx
from dlt.models._model import Model
from tests.helpers import only_in_the_whole_suite, randomise

pytestmark = [
    pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the way out of Keras that leaves sides open"),
    # TensorFlow's converter to ONNX names types of NumPy by names that NumPy gives up.
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
OPEN = {"input_shape": (None, None, 1)}
SMALL = {"depth": 2, "initial_filters": 4}
STAGES = {"depths": (1, 1), "dims": (4, 8), "num_classes": 3, **OPEN}


def acc_unet():
    """Return a network of all layers of ACC-UNet: in the sizes of the others, which the whole one cannot take."""
    images = keras.Input((None, None, 1))
    fine = layers.HANCBlock(3, 1, k=3)(images)
    coarse = layers.HANCBlock(5, 3, k=2)(keras.layers.MaxPooling2D(2)(fine))
    fine, coarse = layers.MLFCLayer([3, 5])([layers.ResPath(1)(fine), coarse])
    up = keras.layers.Conv2DTranspose(3, 2, strides=2)(coarse)
    mask = keras.layers.Conv2D(1, 1, activation="sigmoid")(keras.layers.Concatenate()([fine, up]))
    return keras.Model(images, mask)


NETWORKS = {  # name: (network, sides of an image that is odd, or as odd as the network takes it)
    "ConvNeXtV1": (lambda: models.ConvNeXtV1(**STAGES), (9, 14)),
    "ConvNeXtV2": (lambda: models.ConvNeXtV2(**STAGES), (9, 14)),
    "ConvUNext": (lambda: models.ConvUNextModel(**SMALL, blocks_per_level=1, **OPEN), (11, 6)),
    "denoiser, a scale-equivariant ConvUNext": (lambda: models.create_convunext_denoiser(**SMALL), (11, 6)),
    "segmenter, a UNet": (lambda: models.create_nuclei_segmenter("unet"), (21, 18)),
    "ResidualUNet": (lambda: models.ResidualUNet(filters=(4, 8), blocks=(1, 1), **OPEN), (11, 6)),
    "layers of ACC-UNet": (acc_unet, (4, 12)),
}


def saved_model(path):
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))
    return lambda images: loaded.serve(images).numpy()


def onnx(path):
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda images: session.run(None, {session.get_inputs()[0].name: images})[0]


def litert(path):
    interpreter = pytest.importorskip("ai_edge_litert.interpreter").Interpreter(str(path))
    source, answer = (each[0]["index"] for each in (interpreter.get_input_details(), interpreter.get_output_details()))

    def run(images):
        interpreter.resize_tensor_input(source, images.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(source, images)
        interpreter.invoke()
        return interpreter.get_tensor(answer)

    return run


FORMATS = {"tf_saved_model": ("model", saved_model), "onnx": ("model.onnx", onnx), "litert": ("model.tflite", litert)}


LIKE_OTHERS = "ConvNeXtV1", "denoiser, a scale-equivariant ConvUNext"  # their layers are in the other networks too


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("form", FORMATS)
def test_an_export_gives_what_keras_gives(name, form, tmp_path):
    if form != "onnx" and name in LIKE_OTHERS:
        only_in_the_whole_suite()
    make, sides = NETWORKS[name]
    check_export(make(), sides, form, tmp_path)


@pytest.mark.parametrize("form", FORMATS)
def test_the_whole_acc_unet(form, tmp_path):
    """A minute per format; its layers go all ways in each run."""
    only_in_the_whole_suite()
    check_export(models.AccUNet(1, base_filters=2, mlfc_iterations=1, expansion=3), (16, 32), form, tmp_path)


def check_export(model, sides, form, folder):
    """Export a network, run it on batches of two sizes, and compare with what Keras makes of them."""
    if form != "tf_saved_model":
        pytest.importorskip({"onnx": "tf2onnx", "litert": "ai_edge_litert"}[form])
    randomise(model)
    height, width = sides
    channels = model.input_shape[-1]
    sizes = [(2, height, width, channels), (1, 2 * height, width, channels)]
    batches = [np.random.default_rng(0).uniform(size=size).astype("float32") for size in sizes]
    answers = [ops.convert_to_numpy(model(images)) for images in batches]
    filename, load = FORMATS[form]
    model.export(folder / filename, format=form, verbose=False)
    if form == "onnx" and not isinstance(model, Model):  # those of the package do it themselves
        mend_onnx(folder / filename, model)
    run = load(folder / filename)
    for images, answer in zip(batches, answers, strict=True):
        assert np.ptp(answer) > 1e-3
        np.testing.assert_allclose(run(images), answer, rtol=1e-5, atol=1e-4)


@pytest.fixture
def late(monkeypatch):
    """Let tf2onnx look at what is reshaped a round too late, in every export and for every output."""
    optimizers = pytest.importorskip("tf2onnx.optimizer")
    plain = optimizers.ReshapeOptimizer.optimize
    monkeypatch.setattr(
        optimizers.ReshapeOptimizer, "optimize", lambda self, graph, i: plain(self, graph, i) if i else graph
    )


def of_one_channel(kind):
    """Return a network with two outputs of one channel, and one of two."""
    images = keras.Input((None, None, 1))
    first, second = (keras.layers.Conv2D(n, 3, padding="same") for n in (1, 2))
    mask, wide = first(images), second(images)
    return kind(images, [mask, wide, keras.layers.Conv2D(1, 1, activation="sigmoid")(wide)])


def test_the_axes_that_tf2onnx_forgets_are_taken_out(late, tmp_path):
    """A network of Keras's class has them until its file is mended, one of the package's never."""
    onnxruntime = pytest.importorskip("onnxruntime")
    images = np.random.default_rng(0).uniform(size=(2, 4, 12, 1)).astype("float32")
    for kind in (keras.Model, Model):
        model = randomise(of_one_channel(kind))
        answers = [ops.convert_to_numpy(answer) for answer in model(images)]
        path = tmp_path / "model.onnx"
        model.export(path, format="onnx", verbose=False)
        shapes = [len(output.shape) for output in onnxruntime.InferenceSession(path).get_outputs()]
        assert shapes == ([5, 4, 5] if kind is keras.Model else [4, 4, 4])
        assert mend_onnx(path, model) == (kind is keras.Model)
        session = onnxruntime.InferenceSession(path)
        found = session.run(None, {session.get_inputs()[0].name: images})
        for one, answer in zip(found, answers, strict=True):
            np.testing.assert_allclose(one, answer, rtol=1e-5, atol=1e-5)
