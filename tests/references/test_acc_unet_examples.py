"""What the README of dl_techniques shows of ACC-UNet, written anew and run.

The calls, their options and their order are those of its examples; a reader changes the import line alone. The networks
are narrow and the images small, since the examples are about the interface.
"""

import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest

from dlt.layers import HANCBlock, MLFCLayer
from dlt.models import create_acc_unet, create_acc_unet_binary, create_acc_unet_multiclass


def circles(num_samples, height, width):
    """Return noisy pictures of one disc each, and its mask."""
    rng = np.random.default_rng(num_samples)
    masks = np.zeros((num_samples, height, width, 1), "float32")
    rows, columns = np.ogrid[:height, :width]
    for mask in masks:
        y, x, radius = rng.integers(8, height - 8), rng.integers(8, width - 8), rng.integers(4, 8)
        mask[(rows - y) ** 2 + (columns - x) ** 2 < radius**2] = 1
    noise = rng.normal(0, 0.1, masks.shape)
    return np.clip(masks + noise, 0, 1).astype("float32"), masks


def test_quick_start():
    images, masks = circles(8, 32, 32)
    validation = circles(2, 32, 32)
    model = create_acc_unet_binary(input_channels=1, input_shape=(32, 32))
    model.summary()
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    history = model.fit(images, masks, validation_data=validation, epochs=2, batch_size=4, verbose=0)
    assert history.history["loss"][1] < history.history["loss"][0]
    assert set(history.history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    predicted = model.predict(validation[0][0:1], verbose=0)[0]
    figure, axes = plt.subplots(1, 3, figsize=(12, 4))
    for ax, picture in zip(axes, (validation[0][0], validation[1][0], predicted > 0.5), strict=True):
        ax.imshow(picture[:, :, 0], cmap="gray")
    figure.canvas.draw()
    plt.close(figure)


def test_factories():
    five = create_acc_unet(input_channels=3, num_classes=5, input_shape=(32, 32), base_filters=32, mlfc_iterations=3)
    one = create_acc_unet_binary(input_channels=1, input_shape=(64, 64))
    eight = create_acc_unet_multiclass(input_channels=3, num_classes=8, input_shape=(32, 32))
    assert [model.output.shape for model in (five, one, eight)] == [
        (None, 32, 32, 5),
        (None, 64, 64, 1),
        (None, 32, 32, 8),
    ]
    assert [model.get_layer("output").activation.__name__ for model in (one, eight)] == ["sigmoid", "softmax"]


def test_cross_entropy_and_dice(tf):
    def dice_loss(y_true, y_pred, smooth=1e-6):
        true, predicted = tf.keras.backend.flatten(y_true), tf.keras.backend.flatten(y_pred)
        both = tf.keras.backend.sum(true * predicted)
        return 1 - (2.0 * both + smooth) / (tf.keras.backend.sum(true) + tf.keras.backend.sum(predicted) + smooth)

    def bce_dice_loss(y_true, y_pred):
        return tf.keras.losses.binary_crossentropy(y_true, y_pred) + dice_loss(y_true, y_pred)

    model = create_acc_unet_binary(input_channels=1, input_shape=(32, 32), base_filters=32)
    model.compile(optimizer=keras.optimizers.Adam(1e-4), loss=bce_dice_loss, metrics=["binary_accuracy", dice_loss])
    images, masks = circles(2, 32, 32)
    scores = model.evaluate(images, masks, verbose=0, return_dict=True)
    dice = keras.losses.Dice()(masks, model(images))
    assert scores["dice_loss"] == pytest.approx(float(dice), abs=1e-5)
    assert scores["loss"] > scores["dice_loss"]


def test_classes_in_images_of_two_sizes():
    model = create_acc_unet_multiclass(input_channels=3, num_classes=5, input_shape=None)
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["sparse_categorical_accuracy"])
    for sides in ((32, 32), (16, 48)):
        images, masks = np.random.rand(1, *sides, 3), np.random.randint(0, 5, (1, *sides, 1))
        loss, accuracy = model.test_on_batch(images, masks)
        labels = np.argmax(model(images), axis=-1)[..., None]
        assert accuracy == pytest.approx(np.mean(labels == masks), abs=1e-6)
        assert 0 < loss < 10


def test_losses_and_metrics_for_several_classes():
    """What the README advises for masks of classes: cross-entropy, Dice or Tversky, and the mean IoU."""
    masks = np.random.randint(0, 3, (2, 16, 16, 1))
    one_hot = keras.utils.to_categorical(masks, 3)
    images = (masks / 2).astype("float32")
    entropy = keras.losses.CategoricalCrossentropy()
    regions = [keras.losses.Dice(axis=(1, 2)), keras.losses.Tversky(axis=(1, 2))]
    model = keras.Sequential([keras.Input((16, 16, 1)), HANCBlock(8, 1, k=2), keras.layers.Dense(3, "softmax")])
    model.compile(
        optimizer=keras.optimizers.Adam(1e-2),
        loss=lambda true, predicted: entropy(true, predicted) + sum(loss(true, predicted) for loss in regions),
        metrics=[
            keras.metrics.OneHotMeanIoU(3, name="iou"),
            keras.metrics.MeanIoU(3, sparse_y_true=False, sparse_y_pred=False, name="same_iou"),
            "categorical_accuracy",
        ],
    )
    steps = [model.train_on_batch(images, one_hot, return_dict=True) for _ in range(4)]
    assert steps[3]["loss"] < steps[0]["loss"]
    assert 0 < steps[3]["iou"] < 1
    assert steps[3]["iou"] == pytest.approx(steps[3]["same_iou"])
    predicted = model.predict(images, verbose=0)
    by_label = keras.losses.SparseCategoricalCrossentropy()(masks, predicted)
    assert float(by_label) == pytest.approx(float(entropy(one_hot, predicted)), rel=1e-4)


def test_hanc_blocks_in_another_network():
    inputs = keras.Input(shape=(224, 224, 3))
    x = HANCBlock(filters=32, input_channels=3, k=3)(inputs)
    x = keras.layers.MaxPooling2D(2)(x)
    x = HANCBlock(filters=64, input_channels=32, k=3)(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dense(10, activation="softmax")(x)
    custom_model = keras.Model(inputs, x)
    custom_model.summary()
    np.testing.assert_allclose(np.sum(custom_model(np.ones((1, 224, 224, 3), "float32"))), 1, rtol=1e-5)
    with pytest.raises(ValueError, match="input_channels"):
        HANCBlock(filters=64, input_channels=16, k=3)(keras.Input((32, 32, 32)))


def test_mlfc_in_another_network():
    channels = [64, 128, 256, 512]
    mlfc = MLFCLayer(channels_list=channels, num_iterations=3)
    features = [np.ones((1, 16 // 2**i, 24 // 2**i, width), "float32") for i, width in enumerate(channels)]
    assert [tuple(x.shape) for x in mlfc(features)] == [x.shape for x in features]


def test_mixed_precision():
    keras.mixed_precision.set_global_policy("mixed_float16")
    model = create_acc_unet_binary(input_channels=1, input_shape=(32, 32))
    model.compile(optimizer="adam", loss="binary_crossentropy")
    assert model.get_layer("encoder_0_block_0").compute_dtype == "float16"
    assert np.isfinite(model(circles(2, 32, 32)[0])).all()


def test_xla_training_step(tf):
    """With one block of the network: XLA takes minutes of a processor to compile the training of the whole one."""
    model = keras.Sequential([keras.Input((16, 16, 1)), HANCBlock(4, 1, k=2), keras.layers.Dense(1, "sigmoid")])
    model.compile(optimizer="adam", loss="binary_crossentropy")

    @tf.function(jit_compile=True)
    def train_step(x, y):
        with tf.GradientTape() as tape:
            y_pred = model(x, training=True)
            loss = model.compute_loss(y=y, y_pred=y_pred)
        gradients = tape.gradient(loss, model.trainable_variables)
        model.optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss

    batch = [np.random.rand(2, 16, 16, 1).astype("float32") for _ in range(2)]
    losses = [float(train_step(batch[0], np.round(batch[1]))) for _ in range(3)]
    assert losses[2] < losses[0]


def test_save_and_load():
    model = create_acc_unet_binary(input_channels=1, input_shape=(32, 32))
    model.save("acc_unet_model.keras")
    loaded = keras.models.load_model("acc_unet_model.keras")
    assert loaded.get_config() == model.get_config()
    images = np.random.rand(1, 32, 32, 1)
    np.testing.assert_allclose(loaded(images), model(images), rtol=1e-5, atol=1e-6)


def test_shapes():
    model = create_acc_unet_binary(input_channels=3, input_shape=(48, 48), base_filters=16)
    assert model(np.random.rand(2, 48, 48, 3)).shape == (2, 48, 48, 1)
    model = create_acc_unet_binary(input_channels=1, input_shape=None)
    for height, width in ((32, 32), (32, 48)):
        assert model.predict(np.random.rand(1, height, width, 1), verbose=0).shape == (1, height, width, 1)
