"""What the READMEs of dl_techniques show of ConvNeXt V1 and V2 (a guide and an overview), written anew and run.

The calls, their options and their order are those of the examples; a reader changes the import line alone. The networks
are narrow and the images small, since the examples are about the interface.
"""

import pathlib

import keras
import numpy as np
import pytest

from dlt.models import ConvNeXtV1, ConvNeXtV2, create_convnext_v1, create_convnext_v2


def images_of(count, side):
    return np.random.rand(count, side, side, 3).astype("float32")


def test_quick_start():
    model = create_convnext_v2(variant="atto", num_classes=10, input_shape=(32, 32, 3))
    model.compile(
        optimizer=keras.optimizers.AdamW(learning_rate=1e-3, weight_decay=1e-4),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.summary()
    images, labels = images_of(16, 32), np.random.randint(0, 10, 16)
    loss, accuracy = model.train_on_batch(images, labels)
    assert 0 < loss < 10
    assert 0 <= accuracy <= 1
    assert model.predict(images, verbose=0).shape == (16, 10)


def test_sizes_for_imagenet_and_for_small_images():
    base = create_convnext_v1(variant="base", num_classes=1000)
    base.summary()
    assert (base.input_shape, base.output_shape) == ((None, 224, 224, 3), (None, 1000))
    cifar = create_convnext_v2(variant="tiny", num_classes=10, input_shape=(32, 32, 3))
    assert cifar.get_layer("stem_conv").strides == (1, 1)  # a stem that leaves something to see
    assert cifar.output_shape == (None, 10)
    pico = create_convnext_v2(variant="pico", num_classes=100, input_shape=(96, 96, 3))
    assert pico.output_shape == (None, 100)
    assert pico.count_params() > 0


def test_features_without_the_top():
    backbone = create_convnext_v1(variant="base", include_top=False, input_shape=(128, 128, 3))
    features = backbone.predict(images_of(2, 128), verbose=0)
    assert features.shape == (2, 4, 4, backbone.get_config()["dims"][-1])  # a 32nd of the sides
    large = create_convnext_v1(variant="large", include_top=False, input_shape=(256, 256, 3))
    assert large.output_shape == (None, 8, 8, large.get_config()["dims"][-1])


def test_feature_pyramid_from_layers_by_name():
    model = create_convnext_v1("tiny", include_top=False, input_shape=(64, 64, 3), patch_size=4)
    ends = [model.get_layer(f"stage_{stage}_block_0").output for stage in range(4)]
    pyramid = keras.Model(model.input, ends)
    assert [x.shape[1] for x in pyramid(images_of(1, 64))] == [16, 8, 4, 2]


def test_fine_tuning_with_other_classes_and_another_size(caplog):
    path = pathlib.Path("path/to/convnext_v2_base_imagenet.keras")
    path.parent.mkdir(parents=True)
    trained = create_convnext_v2("base")
    trained.save(path)
    model = create_convnext_v2(variant="base", num_classes=20, input_shape=(128, 128, 3), pretrained=str(path))
    model.compile(
        optimizer=keras.optimizers.AdamW(learning_rate=1e-5), loss="categorical_crossentropy", metrics=["accuracy"]
    )
    model.summary()
    for layer in model.layers[:-1]:
        for weight, source in zip(layer.get_weights(), trained.get_layer(layer.name).get_weights(), strict=True):
            np.testing.assert_array_equal(weight, source)
    assert "head" in caplog.text
    assert model.output_shape == (None, 20)


def test_mixed_precision():
    keras.mixed_precision.set_global_policy("mixed_float16")
    model = create_convnext_v2("base", num_classes=1000)
    model.compile("adamw", "sparse_categorical_crossentropy")
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert model.get_layer("stage_0_block_0").compute_dtype == "float16"
    assert model.get_layer("head").compute_dtype == "float32"
    assert np.isfinite(model.evaluate(images_of(1, 224), np.ones(1), verbose=0))


def test_save_and_load():
    model = create_convnext_v1("tiny", num_classes=10)
    model.save("my_convnext_model.keras")
    loaded = keras.models.load_model("my_convnext_model.keras")
    images = images_of(1, 224)
    np.testing.assert_allclose(loaded(images), model(images), rtol=1e-5, atol=1e-6)


def test_all_variants():
    for network in (ConvNeXtV1, ConvNeXtV2):
        for variant in network.MODEL_VARIANTS:
            model = network.from_variant(variant, num_classes=10, input_shape=(64, 64, 3))
            assert model.name == f"{network.__name__.lower()}_{variant}"
    assert {"tiny", "small", "base", "large", "xlarge"} == set(ConvNeXtV1.MODEL_VARIANTS)
    assert {"atto", "femto", "pico", "nano", "tiny", "base", "large", "huge"} == set(ConvNeXtV2.MODEL_VARIANTS)
    model = ConvNeXtV2.from_variant("tiny", num_classes=10, input_shape=(128, 128, 3))
    assert model.predict(images_of(4, 128), verbose=0).shape == (4, 10)


def test_gradient_accumulation():
    """Two batches make one step."""
    model = ConvNeXtV2((1, 1), (8, 16), num_classes=2, input_shape=(16, 16, 3))
    optimizer = keras.optimizers.AdamW(1e-2, gradient_accumulation_steps=2)
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    images, labels = images_of(4, 16), np.array([0, 1, 0, 1])
    seen = [model.get_weights()]
    for _ in range(2):
        model.train_on_batch(images, labels)
        seen.append(model.get_weights())
    assert all(np.array_equal(one, two) for one, two in zip(seen[0], seen[1], strict=True))
    assert any(np.any(one != two) for one, two in zip(seen[1], seen[2], strict=True))


def test_cross_entropy_by_name_takes_logits_for_probabilities(tf):
    """The overview trains on sixteen images of one class with a loss by name, and learns nothing: no gradient is left.

    Logits below zero are taken for probabilities of 1e-7, and what is cut off there does not move.
    """
    images = tf.random.normal((16, 48, 48, 3))
    labels = tf.one_hot(tf.zeros(16, dtype=tf.int32), depth=10)
    by_name, by_logits = [], []
    for losses, loss in (
        (by_name, "categorical_crossentropy"),
        (by_logits, keras.losses.CategoricalCrossentropy(from_logits=True)),
    ):
        model = create_convnext_v2(variant="atto", num_classes=10, input_shape=(48, 48, 3))
        model.compile(optimizer="adamw", loss=loss, metrics=["accuracy"])
        model.optimizer.learning_rate = 1e-2
        losses += model.fit(images, labels, epochs=3, verbose=0).history["loss"]
    assert by_name[1:] == pytest.approx([-np.log(1e-7)] * 2, rel=1e-3)
    assert by_logits[0] > by_logits[1] > by_logits[2]
