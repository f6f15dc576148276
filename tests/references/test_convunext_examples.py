"""What the README of dl_techniques shows of ConvUNext (models/convunext/README.md), written anew and run.

The calls, their options and their order are those of its examples; a reader changes the import line alone. The networks
are narrow and the images small, since the examples are about the interface.
"""

import inspect
import os
import pathlib
import tempfile

import keras
import numpy as np
import pytest
from keras import regularizers
from keras.optimizers.schedules import CosineDecay

from dlt.models import ConvUNextModel, create_convunext_variant, create_inference_model_from_training_model

WEIGHTS = [1.0, 0.5, 0.25, 0.125]  # of the four outputs of a network of depth 4


def noise(*shape):
    return np.random.normal(size=shape).astype("float32")


def supervised(size=32):
    """Return what most of the examples begin with: four outputs for one mask."""
    return create_convunext_variant(
        "base", input_shape=(size, size, 3), enable_deep_supervision=True, output_channels=1
    )


# Keras says this to whoever trains on a tf.data set without `shuffle=False`.
ordered = pytest.mark.filterwarnings("ignore:`shuffle=True` was passed")


def photos_and_masks(tf, count=4, size=32):
    """Return the data set that the examples ask their reader to have."""
    images = np.random.random((count, size, size, 3)).astype("float32")
    return tf.data.Dataset.from_tensor_slices((images, np.round(images[..., :1]))).batch(2)


def resized(tf, masks):
    """Return a mask at the four sizes of the outputs."""
    height, width = masks.shape[1:3]
    return [masks, *(tf.image.resize(masks, (height // 2**i, width // 2**i)) for i in (1, 2, 3))]


def test_quick_start():
    model = create_convunext_variant(
        variant="base", input_shape=(64, 64, 3), enable_deep_supervision=True, output_channels=1
    )
    model.compile(
        optimizer=keras.optimizers.AdamW(learning_rate=1e-4),
        loss=["mse", "mse", "mse", "mse"],
        loss_weights=WEIGHTS,
    )
    model.summary()
    outputs = model(noise(2, 64, 64, 3), training=False)
    assert [tuple(output.shape) for output in outputs] == [(2, side, side, 1) for side in (64, 32, 16, 8)]


def test_signature():
    parameters = inspect.signature(create_convunext_variant).parameters
    defaults = {name: parameter.default for name, parameter in parameters.items()}
    assert list(defaults)[:4] == ["variant", "input_shape", "enable_deep_supervision", "output_channels"]
    assert defaults["variant"] is inspect.Parameter.empty
    assert [defaults[name] for name in list(defaults)[1:4]] == [(None, None, 3), False, None]
    assert parameters["kwargs"].kind is inspect.Parameter.VAR_KEYWORD


def test_overriding_the_defaults_of_a_size():
    model = create_convunext_variant(
        "tiny", input_shape=(32, 32, 3), blocks_per_level=3, drop_path_rate=0.05, filter_multiplier=3
    )
    config = model.get_config()
    assert (config["depth"], config["blocks_per_level"], config["drop_path_rate"]) == (3, 3, 0.05)
    assert model.get_layer("bottleneck_block_2").output.shape[-1] == config["initial_filters"] * 3**3


def test_one_output_for_images_of_any_size():
    inference_model = create_convunext_variant("base", input_shape=(None, None, 3), enable_deep_supervision=False)
    for height, width in ((32, 32), (64, 64), (16, 48), (37, 50)):  # multiples of 16 are not asked for here
        assert tuple(inference_model(noise(1, height, width, 3)).shape) == (1, height, width, 3)


def test_other_outputs():
    binary = create_convunext_variant("small", input_shape=(32, 32, 3), output_channels=1, final_activation="sigmoid")
    classes = create_convunext_variant("base", input_shape=(32, 32, 3), output_channels=10, final_activation="softmax")
    translation = create_convunext_variant("large", input_shape=(64, 64, 3), output_channels=3, final_activation="tanh")
    image = 5 * noise(1, 32, 32, 3)
    assert 0 < np.min(binary(image)) < np.max(binary(image)) < 1
    np.testing.assert_allclose(np.sum(classes(image), axis=-1), 1, rtol=1e-5)
    assert classes.output.shape == (None, 32, 32, 10)
    assert np.max(np.abs(translation(5 * noise(1, 64, 64, 3)))) <= 1


def test_grey_images():
    denoiser = create_convunext_variant(
        "small", input_shape=(None, None, 1), output_channels=1, final_activation="linear"
    )
    assert tuple(denoiser(noise(1, 48, 48, 1)).shape) == (1, 48, 48, 1)


def deploy_model(path, images):
    """Check a saved network before it is served."""
    model = keras.models.load_model(path)
    assert not isinstance(model(images[0:1]), list)
    outputs = model(images)
    assert outputs.shape[0] == images.shape[0]
    assert not np.any(np.isnan(outputs))
    assert not np.any(np.isinf(outputs))
    return model


@ordered
def test_from_training_with_four_targets_to_deployment(tf):
    """Option A, then the network of one output, its file, and the check of that file.

    The README's `map` returns a list of targets, of which tf.data tries to make one tensor, whatever the model. A tuple
    it leaves as it is.
    """
    model = supervised()
    model.compile(
        optimizer=keras.optimizers.AdamW(learning_rate=1e-4),
        loss=["mse", "mse", "mse", "mse"],
        loss_weights=WEIGHTS,
    )
    train, validation = photos_and_masks(tf), photos_and_masks(tf, count=2)
    with pytest.raises(ValueError, match="not convertible to a tensor"):
        train.map(lambda images, masks: (images, resized(tf, masks)))

    def prepare(images, masks):
        return images, tuple(resized(tf, masks))

    history = model.fit(train.map(prepare), validation_data=validation.map(prepare), epochs=2, verbose=0).history
    assert history["loss"][1] < history["loss"][0]
    assert np.isfinite(history["val_loss"]).all()
    inference_model = create_inference_model_from_training_model(model)
    images = noise(3, 32, 32, 3)
    expected = model(images, training=False)[0]
    assert np.allclose(expected, inference_model(images, training=False), rtol=1e-5)
    inference_model.save("production_model.keras")
    assert np.allclose(deploy_model("production_model.keras", images)(images), expected, rtol=1e-5)
    model.save("four_outputs.keras")
    with pytest.raises(AssertionError):
        deploy_model("four_outputs.keras", images)


def test_custom_training_loop(tf):
    """Option B."""
    model = supervised()
    optimizer = keras.optimizers.AdamW(learning_rate=1e-4)

    @tf.function
    def train_step(images, masks):
        with tf.GradientTape() as tape:
            predictions = model(images, training=True)
            loss = 0.0
            for target, prediction, weight in zip(resized(tf, masks), predictions, WEIGHTS, strict=True):
                loss += weight * tf.reduce_mean(keras.losses.mean_squared_error(target, prediction))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss

    losses = [[train_step(*batch).numpy() for batch in photos_and_masks(tf)] for _ in range(2)]
    assert np.mean(losses[1]) < np.mean(losses[0])


def test_regularization_reaches_every_kernel():
    model = create_convunext_variant("base", input_shape=(32, 32, 3), kernel_regularizer=regularizers.L2(1e-4))
    kernels = [weight for weight in model.trainable_weights if weight.path.endswith("kernel")]
    assert len(model.losses) == len(kernels) > 20
    expected = 1e-4 * sum(np.sum(keras.ops.convert_to_numpy(kernel) ** 2) for kernel in kernels)
    assert sum(float(loss) for loss in model.losses) == pytest.approx(expected, rel=1e-4)


def test_mixed_precision():
    keras.mixed_precision.set_global_policy("mixed_float16")
    model = create_convunext_variant("large", input_shape=(32, 32, 3))
    model.compile(optimizer=keras.optimizers.AdamW(learning_rate=1e-4), loss="mse")
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert model.get_layer("encoder_0_block_0").compute_dtype == "float16"
    assert np.isfinite(model(noise(2, 32, 32, 3))).all()
    keras.mixed_precision.set_global_policy("float32")
    assert create_convunext_variant("tiny").compute_dtype == "float32"


def test_smaller_networks(tf):
    base, shallow = (create_convunext_variant("base", blocks_per_level=blocks) for blocks in (3, 2))
    assert create_convunext_variant("small").count_params() < shallow.count_params() < base.count_params()
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)


def test_inference_as_a_graph(tf):
    model = create_convunext_variant("base", input_shape=(None, None, 3))

    @tf.function
    def inference(x):
        return model(x, training=False)

    inference(tf.random.normal((1, 32, 32, 3)))
    images = tf.random.normal((4, 32, 32, 3))
    np.testing.assert_allclose(inference(images), model(images, training=False), rtol=1e-4, atol=1e-5)


def test_drop_path_rates():
    for rate in (0.05, 0.1, 0.2):
        model = create_convunext_variant("base", drop_path_rate=rate)
        assert model.get_layer("decoder_0_block_0").drop_path_rate == pytest.approx(rate)  # the last block
        assert model.get_layer("encoder_0_block_0").drop_path_rate == 0


def test_augmentation_keeps_image_and_mask_together(tf):
    def augment(image, mask):
        if tf.random.uniform(()) > 0.5:
            image, mask = tf.image.flip_left_right(image), tf.image.flip_left_right(mask)
        turns = tf.random.uniform((), maxval=4, dtype=tf.int32)
        return tf.image.rot90(image, turns), tf.image.rot90(mask, turns)

    images = np.random.random((16, 8, 8, 3)).astype("float32")
    augmented = tf.data.Dataset.from_tensor_slices((images, images[..., :1])).map(augment)
    pairs = [(image.numpy(), mask.numpy()) for image, mask in augmented]
    assert all(np.array_equal(image[..., :1], mask) for image, mask in pairs)
    assert len({pair[0].tobytes() != image.tobytes() for pair, image in zip(pairs, images, strict=True)}) == 2


def test_the_cosine_ends_at_a_fraction_of_the_rate():
    """`alpha` is a factor: what the README calls a minimum of 1e-6 ends at 1e-10."""
    schedule = CosineDecay(initial_learning_rate=1e-4, decay_steps=10000, alpha=1e-6)
    assert float(schedule(0)) == pytest.approx(1e-4)
    assert float(schedule(10000)) == pytest.approx(1e-10)


def test_a_schedule_and_a_plateau_exclude_each_other(tf):
    """The README builds its optimizer with a cosine and then gives `fit` the callback that lowers a fixed rate."""
    images = noise(2, 8, 8, 3)
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(3, 1)])  # it is so for any model
    plateau = keras.callbacks.ReduceLROnPlateau(monitor="val_loss", factor=0.5, patience=1, min_delta=1e3)
    how = {"validation_data": (images, images), "epochs": 3, "verbose": 0, "callbacks": [plateau]}
    cosine = CosineDecay(initial_learning_rate=1e-4, decay_steps=10000, alpha=1e-6)
    model.compile(keras.optimizers.AdamW(learning_rate=cosine), "mse")
    with pytest.raises(TypeError, match="not settable"):
        model.fit(images, images, **how)
    model.compile(keras.optimizers.AdamW(learning_rate=1e-4), "mse")
    model.fit(images, images, **how)
    assert float(model.optimizer.learning_rate) < 1e-4


def test_monitoring_saving_and_going_on():
    """One optimizer compiled with one network and then with another, the callbacks, both kinds of files."""
    optimizer = keras.optimizers.AdamW(learning_rate=1e-4, weight_decay=1e-4, beta_1=0.9, beta_2=0.999, clipnorm=1.0)
    supervised().compile(optimizer=optimizer, loss=["mse"] * 4, loss_weights=WEIGHTS)
    model = create_convunext_variant("tiny", input_shape=(32, 32, 3))
    model.compile(
        optimizer=optimizer,
        loss="mse",
        metrics=[
            "mae",
            keras.metrics.MeanSquaredError(name="mse"),
            keras.metrics.RootMeanSquaredError(name="rmse"),
        ],
    )
    callbacks = [
        keras.callbacks.ModelCheckpoint("best_model.keras", monitor="val_loss", save_best_only=True),
        keras.callbacks.EarlyStopping(monitor="val_loss", patience=20, restore_best_weights=True),
        keras.callbacks.ReduceLROnPlateau(monitor="val_loss", factor=0.5, patience=10, min_lr=1e-7),
        keras.callbacks.TensorBoard(log_dir="./logs"),
    ]
    images = noise(4, 32, 32, 3)
    validation = (images[:2], images[:2])
    history = model.fit(images, images, validation_data=validation, epochs=2, callbacks=callbacks, verbose=0)
    assert history.history["val_loss"][1] < history.history["val_loss"][0]
    assert history.history["rmse"][1] == pytest.approx(history.history["mse"][1] ** 0.5, rel=1e-3)
    assert list(pathlib.Path("logs/train").iterdir())
    model.save("model.keras")
    model.save_weights("weights.weights.h5")
    best = keras.models.load_model("best_model.keras")
    np.testing.assert_allclose(best(images), model(images), rtol=1e-5, atol=1e-6)  # the last epoch was the best
    loaded = keras.models.load_model("model.keras")
    assert loaded.evaluate(*validation, verbose=0) == pytest.approx(model.evaluate(*validation, verbose=0), rel=1e-5)
    assert int(loaded.optimizer.iterations) == 2
    same = create_convunext_variant("tiny", input_shape=(32, 32, 3))
    same.load_weights("weights.weights.h5")
    np.testing.assert_allclose(same(images), model(images), rtol=1e-5, atol=1e-6)


def test_weights_of_four_outputs_in_a_network_of_one():
    several = supervised()
    several.save_weights("four.weights.h5")
    single = create_convunext_variant("base", input_shape=(32, 32, 3), output_channels=1)
    single.load_weights("four.weights.h5", skip_mismatch=True)
    images = noise(1, 32, 32, 3)
    np.testing.assert_array_equal(single(images), several(images)[0])


def test_xla_clusters(tf):
    before = tf.config.optimizer.get_jit()
    tf.config.optimizer.set_jit(True)
    try:
        model = ConvUNextModel((16, 16, 3), depth=2, initial_filters=4, blocks_per_level=1)
        model.compile("adamw", "mse")
        images = noise(2, 16, 16, 3)
        assert model.train_on_batch(images, images) > model.train_on_batch(images, images)
    finally:
        tf.config.optimizer.set_jit(before)


def validate_model(tf, model, images, outputs_in_loss):
    """Check a network as the README's script does; it takes the first output alone into the loss."""
    outputs = model(images)
    supervised = isinstance(outputs, list)
    finest = outputs[0] if supervised else outputs
    assert not np.any(np.isnan(finest))
    assert not np.any(np.isinf(finest))
    assert finest.shape == images.shape
    with tf.GradientTape() as tape:
        predictions = model(images, training=True)
        predictions = predictions[:outputs_in_loss] if supervised else [predictions]
        losses = [
            tf.reduce_mean(keras.losses.mean_squared_error(tf.image.resize(images, x.shape[1:3]), x))
            for x in predictions
        ]
        loss = sum(losses)
    gradients = tape.gradient(loss, model.trainable_weights)
    assert all(gradient is not None for gradient in gradients), "gradient flow broken"
    with tempfile.NamedTemporaryFile(suffix=".keras") as file:
        model.save(file.name)
        loaded = keras.models.load_model(file.name)(images)
    assert np.allclose(finest, loaded[0] if supervised else loaded, rtol=1e-5)


def test_validation_script(tf):
    """The script fails on every deeply supervised model: the other outputs get no gradient. All in one loss do."""
    images = noise(2, 32, 32, 3)
    create_convunext_variant("tiny").save("my_model.keras")
    validate_model(tf, keras.models.load_model("my_model.keras"), images, outputs_in_loss=1)
    model = create_convunext_variant("tiny", enable_deep_supervision=True)
    with pytest.raises(AssertionError, match="gradient flow broken"):
        validate_model(tf, model, images, outputs_in_loss=1)
    validate_model(tf, model, images, outputs_in_loss=3)


def test_another_backend_is_chosen_before_keras_is_imported(monkeypatch):
    before = keras.backend.backend()
    monkeypatch.setenv("KERAS_BACKEND", "jax" if before != "jax" else "torch")
    assert keras.backend.backend() == before
    assert os.environ["KERAS_BACKEND"] != before
