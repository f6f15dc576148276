"""Every public layer and model keeps every promise, on the backend that Keras runs on."""

import copy
import json
import pickle
import re

import keras
import numpy as np
import pytest
from keras import ops, tree

from dlt import layers, models
from tests.cases import CASES
from tests.helpers import EAGERLY, GOLDENS, WHOLE, as_model, only_in_the_whole_suite, randomise, several

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
# One training step of ACC-UNet takes minutes to trace or compile: on JAX and PyTorch its layers stand for it.
each_trained_case = pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=[pytest.mark.slow] * (case.cls is models.AccUNet)) for case in CASES],
    ids=[case.name for case in CASES],
)
MODELS = [case for case in CASES if issubclass(case.cls, keras.Model)]
each_model = pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=[pytest.mark.slow] * (case.cls is models.AccUNet)) for case in MODELS],
    ids=[case.name for case in MODELS],
)


def model_of(case, **kwargs):
    made = case.make(**kwargs)
    return made if isinstance(made, keras.Model) else as_model(made, case.shape)


def batch(case):
    rng = np.random.default_rng(1)
    arrays = [rng.normal(size=shape).astype("float32") for shape in several(case.shape)]
    return arrays if isinstance(case.shape, list) else arrays[0]


def sides(x):
    return tree.map_structure(lambda array: array.shape, x)


def test_nothing_public_is_missing_from_the_table():
    public = {getattr(module, name) for module in (layers, models) for name in module.__all__}
    assert {thing for thing in public if isinstance(thing, type)} == {case.cls for case in CASES}


@each_case
def test_symbolic_and_real_shapes_agree(case):
    model = model_of(case)
    symbolic = model(tree.map_structure(lambda x: keras.Input(x.shape[1:], batch_size=x.shape[0]), batch(case)))
    assert tuple(symbolic.shape) == tuple(model(batch(case)).shape)
    assert model.output.shape[0] is None


@each_case
def test_eager_compiled_and_predict_agree(case):
    model = randomise(model_of(case))
    x = batch(case)
    eager = ops.convert_to_numpy(model(x))
    np.testing.assert_allclose(model.predict(x, verbose=0), eager, rtol=1e-4, atol=1e-5)
    target = np.zeros_like(eager)
    losses = []
    for run_eagerly in (True, False):
        model.compile("sgd", "mse", run_eagerly=run_eagerly)
        losses.append(model.evaluate(x, target, verbose=0))
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)


@each_trained_case
def test_training_changes_every_weight(case):
    model = randomise(model_of(case))
    before = [ops.convert_to_numpy(weight) for weight in model.trainable_weights]
    x = batch(case)
    target = np.random.default_rng(2).normal(size=model.compute_output_shape(sides(x))).astype("float32")
    model.compile(keras.optimizers.SGD(1.0), "mse")
    model.train_on_batch(x, target)  # to `fit`, TensorFlow writes a graph for any number of images: it takes longer
    for weight, old in zip(model.trainable_weights, before, strict=True):
        moved = np.any(ops.convert_to_numpy(weight) != old)
        assert moved or re.search(case.still, weight.path), f"no gradient reached {weight.path}"


@each_case
def test_config_round_trip(case):
    made = case.make()
    again = type(made).from_config(made.get_config())
    assert again.get_config() == made.get_config()


@each_case
def test_saved_model_is_the_same_model(case, tmp_path):
    model = randomise(model_of(case))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    x = batch(case)
    np.testing.assert_array_equal(ops.convert_to_numpy(again(x)), ops.convert_to_numpy(model(x)))


def leaves(model):
    """Return the layers with weights that have no layers inside."""
    inside = model._flatten_layers(include_self=False)
    return [layer for layer in inside if layer.weights and not list(layer._flatten_layers(include_self=False))]


def with_a_policy(case):
    return model_of(case, dtype=keras.DTypePolicy("mixed_bfloat16"))


def frozen(case):
    """A third of the layers is frozen, and one whole part."""
    model = model_of(case)
    for layer in leaves(model)[::3]:
        layer.trainable = False
    model.layers[len(model.layers) // 2].trainable = False
    return model


def quantized(mode):
    def make(case):
        model = model_of(case)
        model.quantize(mode, filters=lambda layer: type(layer) is keras.layers.Dense)
        return model

    return make


def inside(case):
    """Frozen in part, and a layer of another model."""
    model = frozen(case)
    images = tree.map_structure(lambda x: keras.Input(x.shape[1:]), model.input)
    return keras.Model(images, keras.layers.ReLU()(model(images)))


def with_a_new_head(case):
    model = frozen(case)
    last = model.layers[-1]
    features = model.output if isinstance(last, keras.Model) else last.input
    return keras.Model(model.input, keras.layers.Dense(3, name="new_head")(features))


def through_a_file(model, folder):
    model.save(folder / "model.keras")
    return keras.saving.load_model(folder / "model.keras")


WAYS = {  # (a model, a folder) -> the same model once more
    "file": through_a_file,
    "pickle": lambda model, _: pickle.loads(pickle.dumps(model)),
    "deepcopy": lambda model, _: copy.deepcopy(model),
    "config": lambda model, _: type(model).from_config(model.get_config()),
    "clone": lambda model, _: keras.models.clone_model(model),
}
STATES = {  # what a model has become, and the ways that are tried in every run; with DLT_WHOLE=1 all are
    "policy": (with_a_policy, ("file", "clone")),
    "frozen": (frozen, tuple(WAYS)),
    "int8": (quantized("int8"), ("file", "clone")),
    "int4": (quantized("int4"), ("file",)),
    "inside": (inside, ("file",)),
    "new head": (with_a_new_head, ("file", "clone")),
}


@each_model
@pytest.mark.parametrize("state", [pytest.param(s, marks=[pytest.mark.slow] * (s == "int4")) for s in STATES])
def test_what_a_model_has_become_comes_back(case, state, tmp_path):
    """For layers in other people's networks, see `test_keras_protocols`. ACC-UNet takes half a minute per state."""
    if case.cls is models.AccUNet and state != "frozen":
        only_in_the_whole_suite()
    make, ways = STATES[state]
    model = make(case)
    if state not in ("int8", "int4"):
        randomise(model)
    x = batch(case)
    expected = ops.convert_to_numpy(model(x))
    if case.cls is models.AccUNet:
        ways = ("file",)
    for way in WAYS if WHOLE else ways:
        again = WAYS[way](model, tmp_path)
        for kind in ("trainable_weights", "non_trainable_weights"):
            assert [w.path for w in getattr(again, kind)] == [w.path for w in getattr(model, kind)], way
        if way in ("config", "clone"):  # these bring no weights
            again.set_weights(model.get_weights())
        np.testing.assert_array_equal(ops.convert_to_numpy(again(x)), expected, err_msg=way)
        if way != "clone":  # Keras clones a model of any class into a keras.Model
            assert json.dumps(again.get_config()) == json.dumps(model.get_config())


@pytest.fixture
def channels_first():
    keras.config.set_image_data_format("channels_first")
    yield
    keras.config.set_image_data_format("channels_last")


@each_model
def test_channels_stay_last_where_the_global_default_is_first(case, channels_first):
    model = randomise(case.make())
    x = batch(case)
    found = ops.convert_to_numpy(model(x))
    keras.config.set_image_data_format("channels_last")
    np.testing.assert_array_equal(found, ops.convert_to_numpy(randomise(case.make())(x)))


RANDOM = {"drop_path_rate": 0.5, "dropout_rate": 0.5}


@each_model
@pytest.mark.parametrize("optimizer", ["adam", "momentum"])
def test_training_goes_on_as_if_it_had_never_been_saved(case, optimizer, tmp_path):
    """Two steps, a file, two more steps: the weights are those of four steps, masks of dropout included."""
    if case.cls is models.AccUNet and optimizer != "momentum":
        only_in_the_whole_suite()
    config = case.make().get_config()
    model = randomise(case.make(**{key: rate for key, rate in RANDOM.items() if key in config}))
    leaves(model)[1].trainable = False
    chosen = keras.optimizers.Adam(1e-2) if optimizer == "adam" else keras.optimizers.SGD(1e-3, momentum=0.9)
    model.compile(chosen, "mse", metrics=["mae"], run_eagerly=EAGERLY)
    x = batch(case)
    target = np.random.default_rng(2).normal(size=model.compute_output_shape(x.shape)).astype("float32")
    for _ in range(2):
        model.train_on_batch(x, target)
    again = through_a_file(model, tmp_path)
    assert (again.loss, int(again.optimizer.iterations)) == ("mse", 2)
    for _ in range(2):
        assert again.train_on_batch(x, target, return_dict=True) == model.train_on_batch(x, target, return_dict=True)
    for one, two in zip(again.weights, model.weights, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(one), ops.convert_to_numpy(two), err_msg=two.path)


@each_trained_case
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_trains_without_nan(case, policy):
    keras.config.set_dtype_policy(policy)
    model = model_of(case)
    assert {weight.dtype for weight in model.trainable_weights} <= {"float32"}
    x = tree.map_structure(
        lambda array: 100 * array, batch(case)
    )  # large enough for a float16 sum of squares to overflow
    # ACC-UNet's graph is big; it is trained as a graph in float32, and step by step here.
    model.compile(keras.optimizers.SGD(1e-4), "mse", run_eagerly=case.cls is models.AccUNet)
    target = np.zeros(model.compute_output_shape(sides(x)), "float32")
    assert np.all(np.isfinite([model.train_on_batch(x, target) for _ in range(2)]))
    assert all(np.all(np.isfinite(ops.convert_to_numpy(weight))) for weight in model.weights)


@each_case
def test_backends_agree(case):
    model = randomise(model_of(case))
    golden = np.load(GOLDENS / "contracts.npz")[case.name]
    np.testing.assert_allclose(model.predict(batch(case), verbose=0), golden, rtol=1e-4, atol=1e-4)


@each_case
def test_bad_arguments_raise(case):
    assert case.bad or case.cls.__init__ is keras.layers.Layer.__init__  # without arguments of its own
    for arguments, words in case.bad:
        with pytest.raises(ValueError, match=words) as caught:
            case.make(**arguments)
        assert "Expected" in str(caught.value)
        assert "Received: " in str(caught.value)


@each_case
def test_random_parts_train_on_every_backend(case):
    name = {"StochasticDepth": "rate"}.get(case.name, "drop_path_rate")
    plain = case.make()
    if name not in plain.get_config():
        dropouts = [layer for layer in plain._flatten_layers() if isinstance(layer, keras.layers.Dropout)]
        assert not any(layer.rate for layer in dropouts)
        return  # nothing random in it
    model = model_of(case, **{name: 0.5})
    model.compile("sgd", "mse")
    x = batch(case)
    target = np.zeros(model.compute_output_shape(sides(x)), "float32")
    assert np.all(np.isfinite([model.train_on_batch(x, target) for _ in range(2)]))
