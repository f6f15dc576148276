"""What all models do beyond what Keras does, and what they leave as Keras does it."""

import pickle

import keras
import numpy as np
import pytest
from keras import ops

from dlt import models
from tests.helpers import randomise

SMALL = {
    "ConvNeXtV2": lambda: models.ConvNeXtV2((1,), (8,), num_classes=2, input_shape=(16, 16, 1)),
    "UNet": lambda: models.UNet((16, 16, 1), depth=1, initial_filters=4),
    "denoiser": lambda: models.create_convunext_denoiser(depth=2, initial_filters=8),
}
ENTRIES = {  # every way in, given a compiled model, images and targets
    "call": lambda model, x, y: model(x),
    "call with a list": lambda model, x, y: model([x]),
    "symbolic": lambda model, x, y: model(keras.KerasTensor(x.shape)),
    "predict": lambda model, x, y: model.predict(x, verbose=0),
    "predict_on_batch": lambda model, x, y: model.predict_on_batch(x),
    "evaluate": lambda model, x, y: model.evaluate(x, y, verbose=0),
    "test_on_batch": lambda model, x, y: model.test_on_batch(x, y),
    "fit": lambda model, x, y: model.fit(x, y, verbose=0),
    "fit by name": lambda model, x, y: model.fit(x=x, y=y, verbose=0),
    "fit and validate": lambda model, x, y: model.fit(
        np.zeros((2, 64, 64, 3), "float32"), y, validation_data=(x, y), verbose=0
    ),
    "train_on_batch": lambda model, x, y: model.train_on_batch(x, y),
}
WRONG = [  # models of three channels, and images they must not take
    (lambda: models.UNet(depth=1, initial_filters=2), (2, 8, 8, 1), "UNet was built for images with other channels"),
    (lambda: models.UNet(depth=1, initial_filters=2), (8, 8, 3), "UNet works on batches of images"),
    (
        lambda: models.create_convunext_denoiser(3, depth=2, initial_filters=2),
        (8, 8, 3),
        "convunext_denoiser works on batches of images",
    ),
    (lambda: models.create_denoiser(3, filters=(2,), blocks=(1,)), (2, 8, 8, 1), "denoiser was built for images with"),
    (
        lambda: models.ConvNeXtV1((1, 1), (4, 4), num_classes=2, input_shape=(None, None, 3)),
        (2, 64, 7, 3),
        "height and width of at least 8",
    ),
    (
        lambda: models.ConvUNextModel(depth=2, initial_filters=2, blocks_per_level=1),
        (8, 8),
        "ConvUNextModel works on batches of images",
    ),
    (lambda: models.AccUNet(base_filters=1, expansion=1, mlfc_iterations=1), (1, 24, 16, 3), "16 or 32 and 16"),
]


@pytest.mark.parametrize(("make", "shape", "words"), WRONG, ids=[words for _, _, words in WRONG])
def test_every_way_in_checks_the_images_alike(make, shape, words):
    model, texts = make(), set()
    model.compile("sgd", "mse")
    x = np.zeros(shape, "float32")
    for name, enter in ENTRIES.items():
        with pytest.raises(ValueError, match=words) as caught:
            enter(model, x, np.zeros((len(x), 1), "float32"))
        assert model.train_function is None or keras.backend.backend() == "jax", f"{name} began before it looked"
        texts.add(str(caught.value))
    assert len(texts) == 1
    assert f"Received: shape={shape}" in texts.pop()


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf.data needs TensorFlow")
def test_a_graph_that_has_seen_many_sizes_is_told_those_of_a_dataset():
    tf = pytest.importorskip("tensorflow")
    model = models.AccUNet(1, base_filters=1, expansion=1, mlfc_iterations=1)
    model.compile("sgd", "mse")
    for side in (24, 40):
        images = tf.data.Dataset.from_tensor_slices(np.zeros((2, side, 16, 1), "float32")).batch(1)
        for enter in (model.predict, model.evaluate, model.fit):
            with pytest.raises(ValueError, match="height and width that are multiples of 16"):
                enter(images.map(lambda x: (x, x)))
        with pytest.raises(ValueError, match="height and width that are multiples of 16"):
            model.predict(images)
        with pytest.raises(ValueError, match="height and width that are multiples of 16"):
            model.fit(Sizes([16, side]))
    unknown = tf.data.Dataset.from_generator(
        lambda: iter(np.zeros((2, 1, 16, 16, 1), "float32")), output_signature=tf.TensorSpec(None, "float32")
    )
    assert models._watch.shape_of(unknown) is None


class Even(models._model.Model):
    """A network that takes even sides alone, and says so."""

    _multiple = 2

    def __init__(self):
        images = keras.Input((None, None, 1))
        halved = keras.layers.MaxPooling2D(2)(keras.layers.Conv2D(1, 1)(images))
        super().__init__(images, keras.layers.Add()([keras.layers.UpSampling2D(2)(halved), images]))


class Sizes(keras.utils.PyDataset):
    """Batches of one image each, whose height is another every time."""

    def __init__(self, heights, targets=True, **kwargs):
        super().__init__(**kwargs)
        self.heights, self.targets, self.epochs = heights, targets, []

    def __len__(self):
        return len(self.heights)

    def __getitem__(self, index):
        images = np.zeros((1, self.heights[index], 16, 1), "float32")
        return (images, images) if self.targets else images

    def on_epoch_begin(self):
        self.epochs.append("begin")

    def on_epoch_end(self):
        self.epochs.append("end")


def generator(batches):
    return (batches[i] for i in range(len(batches)))


def pipeline(heights, targets=True, sides=(None, 16)):
    """Return a tf.data.Dataset that does not say how high its images are."""
    tf = pytest.importorskip("tensorflow")
    images = tf.TensorSpec((1, *sides, 1))
    batches = Sizes(heights, targets=targets)
    return tf.data.Dataset.from_generator(
        lambda: generator(batches), output_signature=(images, images) if targets else images
    )


def torch_loader(heights):
    """Return a DataLoader of PyTorch."""
    data = pytest.importorskip("torch.utils.data")
    batches = Sizes(heights)
    return data.DataLoader([tuple(map(to_torch, batches[i])) for i in range(len(batches))], batch_size=None)


def to_torch(array):
    return pytest.importorskip("torch").from_numpy(array)


def grain_dataset(heights):
    """Return a data set of Grain."""
    grain = pytest.importorskip("grain")
    batches = Sizes(heights)
    return grain.MapDataset.range(len(heights)).map(lambda i: batches[i]).to_iter_dataset()


def grain_loader(heights, **kwargs):
    """Return a DataLoader of Grain."""
    grain = pytest.importorskip("grain")
    order = grain.samplers.SequentialSampler(len(heights), grain.sharding.NoSharding())
    return grain.DataLoader(data_source=Sizes(heights), sampler=order, **kwargs)


BATCHES = {  # heights -> images of these
    "PyDataset": Sizes,
    "PyDataset with threads": lambda heights: Sizes(heights, workers=2),
    "PyDataset with processes": lambda heights: Sizes(heights, workers=2, use_multiprocessing=True),
    "generator": lambda heights: generator(Sizes(heights)),
    "tf.data": pipeline,
    "DataLoader of PyTorch": torch_loader,
    "data set of Grain": grain_dataset,
    "DataLoader of Grain": grain_loader,
}
BATCH_BY_BATCH = {
    "predict": lambda model, data: model.predict(data, verbose=0),
    "evaluate": lambda model, data: model.evaluate(data, verbose=0),
    "fit": lambda model, data: model.fit(data, shuffle=False, verbose=0),
    "validation": lambda model, data: model.fit(
        np.zeros((1, 8, 16, 1)), np.zeros((1, 8, 16, 1)), validation_data=data, verbose=0
    ),
}


def even(plain=False):
    """Return a compiled network that takes even sides alone, of ours or as a plain `keras.Model`."""
    model = Even()
    model = keras.Model(model.input, model.output) if plain else model
    model.compile("sgd", "mse")
    return model


@pytest.mark.filterwarnings("ignore:Your input ran out of data")  # what Keras says at the end of each generator
@pytest.mark.filterwarnings("ignore:os.fork")  # what JAX says of processes
@pytest.mark.parametrize("enter", BATCH_BY_BATCH)
@pytest.mark.parametrize("kind", BATCHES)
def test_sides_that_change_from_batch_to_batch_are_checked(kind, enter):
    if enter == "predict" and keras.backend.backend() != "tensorflow":
        pytest.skip("Keras cannot put together answers of different sizes there, and says so first")
    model = even()
    BATCH_BY_BATCH[enter](model, BATCHES[kind]([16, 12, 8]))
    with pytest.raises(ValueError, match=r"multiples of 2\..*Received: shape=\(1, 7, 16, 1\)"):
        BATCH_BY_BATCH[enter](model, BATCHES[kind]([16, 12, 8, 7, 16]))


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="what TensorFlow says by itself")
@pytest.mark.parametrize("data", [Sizes, pipeline])
def test_without_a_check_a_wrong_side_ends_in_other_words(data):
    """The control: the same graph as a `keras.Model`."""
    tf = pytest.importorskip("tensorflow")
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        even(plain=True).predict(data([16, 12, 7], targets=False), verbose=0)
    assert "multiples of 2" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf.data needs TensorFlow")
@pytest.mark.parametrize(("make", "targets"), [(models.ConvNeXtV1, True), (models.ConvNeXtV2, False)])
def test_images_in_a_pipeline_of_which_nothing_would_be_left(make, targets):
    """The control: a `keras.Model` gives an answer, of nothing."""
    model = make((1, 1), (4, 4), num_classes=2, input_shape=(None, None, 1))
    plain = keras.Model(model.input, model.output)
    data = [pipeline([16, height], targets, sides=(None, None)) for height in (8, 7)]
    assert np.isfinite(model.predict(data[0], verbose=0)).all()
    assert plain.predict(data[1], verbose=0).shape == (2, 2)
    with pytest.raises(ValueError, match=r"at least 8\. Received: shape=\(1, 7, 16, 1\)"):
        model.predict(data[1], verbose=0)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf.data needs TensorFlow")
def test_a_pipeline_gives_what_it_gave():
    tf = pytest.importorskip("tensorflow")
    heights = [2, 4, 6]
    watched = models._watch.Watch(lambda x: None).over(
        pipeline(heights).apply(tf.data.experimental.assert_cardinality(3))
    )
    assert int(watched.cardinality()) == 3
    assert [(x.shape[1], y.shape[1]) for x, y in watched] == [(2, 2), (4, 4), (6, 6)]
    closed = tf.data.Dataset.from_tensors(np.zeros((1, 2, 2, 1)))
    assert models._watch.Watch(lambda x: None).over(closed) is closed
    named = pipeline([2]).map(lambda x, y: {"images": x})
    assert next(iter(models._watch.Watch(lambda x: None).over(named)))["images"].shape == (1, 2, 16, 1)


def test_what_goes_to_other_processes_is_no_network():
    limits = pickle.loads(pickle.dumps(even()._limits))
    assert limits == models._limits.Limits(limits.owner, [1], multiple=2)


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="Keras looks at the data once more before it begins")
def test_a_watched_dataset_is_told_of_its_epochs():
    ours, plain = Sizes([8, 6]), Sizes([8, 6])
    for model, data in ((even(), ours), (even(plain=True), plain)):
        model.fit(data, epochs=2, shuffle=False, verbose=0)
    assert ours.epochs == plain.epochs
    if keras.backend.backend() == "tensorflow":
        assert ours.epochs.count("begin") == 2  # Keras looks at the data once more on JAX before it begins


def test_errors_of_others_stay_as_they_are():
    class Broken(Sizes):
        def __getitem__(self, index):
            raise KeyError("photo.png")

    with pytest.raises(KeyError, match=r"photo\.png"):
        even().fit(Broken([16, 12]), verbose=0)


def test_methods_keep_their_names_documentation_and_arguments():
    for name in ("fit", "evaluate", "predict", "train_on_batch", "test_on_batch", "predict_on_batch"):
        ours, theirs = getattr(models.UNet, name), getattr(keras.Model, name)
        assert (ours.__name__, ours.__doc__) == (theirs.__name__, theirs.__doc__)


# Keras's compile protocol


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="counts how often TensorFlow traces")
@pytest.mark.parametrize("name", SMALL)
def test_a_training_step_is_traced_once(name):
    ours = SMALL[name]()
    plain = keras.Model(ours.input, ours.output)
    assert (traces(ours), traces(plain)) == (1, 2)  # the control: what Keras does by itself
    assert (traces(ours, metrics=[keras.metrics.MeanSquaredError()]), traces(ours, metrics=["mse"])) == (1, 2)


def traces(model, metrics=None):
    """Return how often the loss is called from Python while a model is trained for three steps."""
    calls = []

    def loss(target, prediction):
        calls.append(target)
        return keras.ops.mean(keras.ops.square(prediction))

    model.compile("adam", loss, metrics=metrics, jit_compile=False)
    images = np.zeros((6, 16, 16, 1), "float32")
    model.fit(images, np.zeros(model(images).shape), batch_size=2, verbose=0)
    return len(calls)


@pytest.mark.parametrize("name", SMALL)
def test_an_optimizer_gets_its_variables_when_training_begins(name):
    model = SMALL[name]()
    x = np.zeros((2, 16, 16, 1), "float32")
    model.compile("adam", "mse", run_eagerly=True)
    model.predict(x, verbose=0)
    assert not model.optimizer.built
    if keras.backend.backend() == "tensorflow":  # on JAX and PyTorch, Keras builds everything before it evaluates
        model.evaluate(x, np.zeros(model(x).shape), verbose=0)
        assert not model.optimizer.built
    model.fit(x, np.zeros(model(x).shape), verbose=0)
    assert model.optimizer.built


def classifier(**kwargs):
    return randomise(models.ConvNeXtV2((1,), (4,), num_classes=2, input_shape=(8, 8, 3), **kwargs))


X = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("float32")
Y = np.ones((2, 2), "float32")


def both():
    """Return a model of ours, and what Keras makes of the same graph: the control."""
    return [classifier(), (lambda m: keras.Model(m.input, m.output))(classifier())]


@pytest.mark.parametrize("number", [0, 1], ids=["ours", "keras.Model"])
def test_weights_that_are_loaded_after_compile_are_the_ones_that_are_trained(number):
    """An optimizer without a schedule starts from the weights it finds; with a rate of 0 it must not move them."""
    model = both()[number]
    model.compile(keras.optimizers.ScheduleFreeAdamW(0.0), "mse", run_eagerly=True)
    model.set_weights([2 * weight for weight in model.get_weights()])
    before = model.get_weights()
    model.fit(X, Y, verbose=0)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_allclose(new, old, atol=1e-6)


@pytest.mark.parametrize("again", [True, False], ids=["compiled again", "not compiled again"])
@pytest.mark.parametrize("number", [0, 1], ids=["ours", "keras.Model"])
def test_unfreezing_before_the_first_step(number, again):
    model, optimizer = both()[number], keras.optimizers.SGD(1.0)
    model.get_layer("stem_conv").trainable = False
    model.compile(optimizer, "mse", run_eagerly=True)
    model.get_layer("stem_conv").trainable = True
    if again:
        model.compile(optimizer, "mse", run_eagerly=True)
    before = ops.convert_to_numpy(model.get_layer("stem_conv").kernel)
    model.fit(X, Y, verbose=0)
    assert np.any(ops.convert_to_numpy(model.get_layer("stem_conv").kernel) != before)


def test_one_optimizer_for_one_model_and_then_for_another():
    optimizer, (first, second) = keras.optimizers.Adam(), both()
    first.compile(optimizer, "mse", run_eagerly=True)
    second.compile(optimizer, "mse", run_eagerly=True)
    second.fit(X, Y, verbose=0)
    assert int(optimizer.iterations) == 1


def test_no_optimizer_and_nothing_to_train():
    model = classifier()
    model.compile(None, "mse", run_eagerly=True)
    assert np.isfinite(model.evaluate(X, Y, verbose=0))
    model.trainable = False
    model.compile("adam", "mse", run_eagerly=True)
    if keras.backend.backend() != "jax":  # which builds an optimizer of nothing, and trains nothing
        with pytest.warns(UserWarning, match="does not have any trainable weights"):
            model.fit(X, Y, verbose=0)
    if keras.backend.backend() == "tensorflow":  # PyTorch's too is built of nothing, by Keras
        assert not model.optimizer.built


# Keywords


@pytest.mark.parametrize(
    ("make", "keyword", "nearest"),
    [
        (models.ConvUNextModel, "block_per_level", "blocks_per_level"),
        (models.ConvUNextModel, "dropout_rate", "drop_path_rate"),
        (models.ConvNeXtV1, "drop_path", "drop_path_rate"),
        (models.ConvNeXtV2, "classes", "num_classes"),
        (models.ConvNeXtV2.from_variant, "activation", "classifier_activation"),
        (models.AccUNet, "filters", "base_filters"),
        (models.UNet, "num_classes", "output_channels"),
        (models.UNet, "nam", "name"),
        (models.create_convnext_v1, "weights", "pretrained"),
        (models.create_convnext_v2, "weights", "pretrained"),
        (models.create_convnext_v2, "includ_top", "include_top"),
        (models.create_convunext_variant, "pretraind", "pretrained"),
        (models.create_convunext_denoiser, "channel", "channels"),
        (models.create_denoiser, "block", "blocks"),
        (models.ResidualUNet, "filter", "filters"),
        (models.create_nuclei_segmenter, "weights", "pretrained"),
        (models.create_nuclei_segmenter, "dtyp", "dtype"),
        (models.create_acc_unet_binary, "num_filters", "base_filters"),
        (models.create_acc_unet_multiclass, "weights", "pretrained"),
    ],
    ids=lambda value: getattr(value, "__qualname__", value),
)
def test_an_unknown_keyword_raises_and_names_the_nearest(make, keyword, nearest):
    needed = {
        "from_variant": ("atto",),
        "create_convunext_variant": ("tiny",),
        "create_acc_unet_binary": (3,),
        "create_acc_unet_multiclass": (3, 4),
    }
    with pytest.raises(ValueError, match=f"has no argument `{keyword}`") as caught:
        make(*needed.get(make.__name__, ()), **{keyword: 3})
    assert f"Received: {keyword}=3. Did you mean `{nearest}`?" in str(caught.value)


def test_a_keyword_that_resembles_none():
    with pytest.raises(ValueError, match=r"no argument `xyz`\. Expected one of input_shape, depth") as caught:
        models.UNet(xyz=1)
    assert str(caught.value).endswith("name, trainable. Received: xyz=1. Leave it out.")


def test_a_class_of_ones_own_may_take_more():
    class Mine(models.UNet):
        def __init__(self, extra, **kwargs):
            super().__init__(**kwargs)
            self.extra = extra

    assert Mine(extra=2, depth=1, initial_filters=2, name="mine").name == "mine"
    with pytest.raises(ValueError, match=r"Mine has no argument `extr`.*Did you mean `extra`"):
        Mine(extr=2)


# Names


@pytest.mark.parametrize(
    "make",
    [
        models.ConvNeXtV1,
        models.ConvNeXtV2,
        models.create_convnext_v1,
        models.create_convnext_v2,
        models.AccUNet,
        models.create_acc_unet,
        models.create_acc_unet_binary,
        models.create_acc_unet_multiclass,
        models.ConvUNextModel,
        models.create_convunext_variant,
        models.create_convunext_denoiser,
        models.create_denoiser,
        models.ResidualUNet,
        models.UNet,
        models.create_nuclei_segmenter,
    ],
    ids=lambda make: make.__name__,
)
@pytest.mark.usefixtures("born_with_zeros")
def test_two_of_a_kind_fit_into_one_model(make, monkeypatch):
    """Every function that makes a network takes a name for it."""
    monkeypatch.setattr(models._acc_unet, "DEPTH", 2)  # eight networks of four levels take long to build
    small = {
        "create_convnext_v1": {"num_classes": 2, "depths": (1,), "dims": (4,)},
        "create_convnext_v2": {"num_classes": 2, "depths": (1,), "dims": (4,)},
        "create_acc_unet": {
            "input_channels": 3,
            "num_classes": 2,
            "base_filters": 1,
            "expansion": 1,
            "mlfc_iterations": 1,
        },
        "create_acc_unet_binary": {"input_channels": 3, "base_filters": 1, "expansion": 1, "mlfc_iterations": 1},
        "create_acc_unet_multiclass": {
            "input_channels": 3,
            "num_classes": 2,
            "base_filters": 1,
            "expansion": 1,
            "mlfc_iterations": 1,
        },
        "create_convunext_variant": {"variant": "tiny", "initial_filters": 2},
        "create_convunext_denoiser": {"channels": 3, "initial_filters": 2},
        "create_nuclei_segmenter": {},
        "create_denoiser": {"channels": 3, "filters": (2,), "blocks": (1,)},
        "ResidualUNet": {"filters": (2,), "blocks": (1,)},
        "AccUNet": {"base_filters": 1, "expansion": 1, "mlfc_iterations": 1},
        "ConvUNextModel": {"depth": 2, "initial_filters": 2},
        "UNet": {"depth": 1, "initial_filters": 2},
        "ConvNeXtV1": {"depths": (1,), "dims": (4,)},
        "ConvNeXtV2": {"depths": (1,), "dims": (4,)},
    }[make.__name__]
    pair = [make(**small, name=name) for name in ("left", "right")]
    images = keras.Input(pair[0].input_shape[1:])
    joined = keras.Model(images, [model(images) for model in pair])
    assert [layer.name for layer in joined.layers if isinstance(layer, keras.Model)] == ["left", "right"]


def test_two_feature_extractors_fit_into_one_model():
    images = keras.Input((8, 8, 3))
    pair = [classifier(name=name).feature_extractor() for name in ("left", "right")]
    assert [model.name for model in (*pair, classifier().feature_extractor("mine"))] == [
        "left_features",
        "right_features",
        "mine",
    ]
    assert keras.Model(images, [model(images)[0] for model in pair]).outputs


@pytest.mark.parametrize(
    ("create", "names"),
    [
        (models.create_cifar10_classifier, "'cifar10'"),
        (models.create_nuclei_segmenter, "'nuclei'"),
        (lambda **given: models.create_convnext_v2("atto", input_shape=(32, 32, 3), **given), "'imagenet', 'fcmae'"),
        (models.create_denoiser, "True"),
        (models.create_convunext_denoiser, "True, 'sigma_10', 'sigma_55'"),
    ],
)
def test_weights_that_nobody_has_are_refused_by_the_names_of_those_there_are(create, names):
    for pretrained in ("sigma_25", *([] if "True" in names else [True])):
        with pytest.raises(ValueError, match=f"no such weights. Expected None, {names}.*{pretrained!r}"):
            create(pretrained=pretrained)


@pytest.mark.parametrize("network", [models.ConvUNextModel, models.ResidualUNet, models.UNet])
def test_no_output_channels_are_not_as_many_as_the_input_has(network):
    with pytest.raises(ValueError, match="output_channels=0"):
        network((None, None, 1), output_channels=0)


def test_a_patch_of_no_pixels_is_none():
    with pytest.raises(ValueError, match="patch_size=0"):
        models.create_convnext_v2("atto", input_shape=(32, 32, 3), patch_size=0)
