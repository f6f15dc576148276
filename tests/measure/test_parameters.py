import keras

from dlt.measure import parameters


def test_trainable_and_fixed():
    model = keras.Sequential(
        [keras.Input((4, 4, 3)), keras.layers.Conv2D(2, 3, name="conv"), keras.layers.BatchNormalization(name="norm")]
    )
    result = parameters(model)
    assert (result.trainable, result.fixed, result.total) == (56 + 4, 4, 64)
    assert result.per_layer == {"conv": 56, "norm": 8}
    model.get_layer("conv").trainable = False
    assert (parameters(model).trainable, parameters(model).fixed) == (4, 60)


def test_one_layer_alone():
    layer = keras.layers.Dense(3)
    layer.build((None, 2))
    assert parameters(layer).total == 9 == layer.count_params()
