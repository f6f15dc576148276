import keras
import numpy as np

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


def test_equal_names_and_shared_layers_add_up():
    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.first, self.second = keras.layers.Dense(4, name="twin"), keras.layers.Dense(5, name="twin")
            self.inner = keras.Sequential([self.first], name="inner")  # holds the same layer again

        def build(self, input_shape):
            self.token = self.add_weight(shape=(7,), name="token")

        def call(self, x):
            return self.second(self.first(x))

    net = Net()
    net(np.zeros((1, 3)))
    result = parameters(net)
    assert result.per_layer == {"twin": 16, "twin (2)": 25, "inner": 0, net.name: 7}
    assert sum(result.per_layer.values()) == result.total == net.count_params()
