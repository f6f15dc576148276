"""Gradients with respect to the input, on every backend, with nothing but Keras.

Keras has no common function for gradients, but every backend can train. So the input becomes a weight: an offset that
starts at zero is added to the images, the number to differentiate is the loss, and one step of plain gradient descent
with learning rate 1 leaves minus the gradient in the offset. It starts at zero so that no digit is lost: the step
from a pixel of 0.5 would round a gradient of 1e-10 away.
"""

import collections
import difflib

import keras
import numpy as np
from keras import ops

from dlt._check import fail
from dlt.measure._trace import listening, sublayers


class WeightedSum(keras.Model):
    """A model whose only weight is what is added to the images, and whose loss is a weighted sum of outputs."""

    def __init__(self, run, images):
        super().__init__(dtype="float32")
        self._run = run  # a plain function, so that the weights inside are not this model's
        self._images = ops.convert_to_tensor(images)
        self.offset = self.add_weight(name="offset", shape=images.shape, initializer="zeros")
        self.built = True

    def call(self, batch):
        return self._run(self._images + self.offset)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        connected = 0.0 * ops.sum(self.offset)  # without a path from the offset to the loss, backends refuse
        return ops.sum(ops.multiply(y, ops.cast(y_pred, "float32"))) + connected


def input_gradient(model, images, weights, layer=None):
    """Return the gradient of a weighted sum of a model's output with respect to its input.

    For `s = sum(weights * model(images))`, taken over all axes, the result is `ds / dimages`. As images of a batch do
    not influence each other, each image gets the gradient of its own part of the sum. With `weights` zero but for a
    single 1 per image, the gradient is a row of the Jacobian. The model runs as it does at inference.

    Args:
        model: A built Keras model or layer of any kind.
        images: Array of shape `(batch, height, width, channels)`, or whatever else the model takes.
        weights: Array of the shape of the output.
        layer: String, the path of a layer inside, as in `layer_output`; None takes the model's output.

    Returns:
        A float32 array of the shape of `images`.

    >>> double = keras.Sequential([keras.Input((2, 2, 1)), keras.layers.Rescaling(2.0)])
    >>> input_gradient(double, np.ones((1, 2, 2, 1)), np.ones((1, 2, 2, 1))).ravel().tolist()
    [2.0, 2.0, 2.0, 2.0]
    """
    check_float_input(model)
    images, weights = (np.asarray(ops.convert_to_numpy(array), dtype="float32") for array in (images, weights))
    trainer = WeightedSum(layer_output(model, layer), images)
    trainer.compile(keras.optimizers.SGD(1.0), run_eagerly=True, jit_compile=False)
    trainer.train_on_batch(np.zeros((len(images), 1), "float32"), weights)
    return -ops.convert_to_numpy(trainer.offset)


def layer_output(model, layer=None):
    """Return a function from the input of a model to the output of one of its layers, as at inference.

    Args:
        model: A built Keras model or layer of any kind.
        layer: String, the name of a layer; in nested models and composite layers its path, `"block/norm"`. None means
            the model's own output. Of a layer that is called more than once, the first call counts.

    Raises:
        ValueError: If there is no such layer, there are several, or it has several outputs.
    """
    if layer is None:
        return lambda images: one_output(model, model(packed(model, images), training=False))
    pairs = list(sublayers(model))
    counts = collections.Counter(path for path, _ in pairs)
    found = dict(pairs)[check_layer(layer, counts, {path for path, count in counts.items() if count > 1})]

    def run(images):
        outputs = []
        with listening(found, lambda args, kwargs, output: outputs.append(output)):
            model(packed(model, images), training=False)
        return one_output(found, outputs[0])

    return run


def packed(model, images):
    """Return images as a model of one input wants them: itself, or in a list or dict, as it was built."""
    if not getattr(model, "inputs", None) or isinstance(model, keras.Sequential):
        return images
    check_one_input(model, model.inputs)
    return keras.tree.map_structure(lambda _: images, model.input)


def check_one_input(model, inputs):
    """Raise if a model takes more than one tensor."""
    if len(inputs) > 1:
        fail(
            f"{model.name} has {len(inputs)} inputs.",
            "a model of one image",
            f"inputs of shapes {', '.join(str(tuple(tensor.shape)) for tensor in inputs)}",
            "Give the others values: keras.Model(image, model([image, array])).",
        )


def check_float_input(model):
    """Raise if a model takes whole numbers: rounding has no derivative."""
    dtypes = [tensor.dtype for tensor in getattr(model, "inputs", None) or []]
    if not all(map(keras.backend.is_float_dtype, dtypes)):
        fail(
            f"{model.name} takes whole numbers, so it has no derivatives.",
            "an input of floating-point numbers",
            f"inputs of {', '.join(dtypes)}",
            "Pass the part of the model that comes after the cast.",
        )


def one_output(layer, outputs):
    """Return the one tensor that a layer gives."""
    if len(flat := keras.tree.flatten(outputs)) != 1:
        fail(
            f"{layer.name} has {len(flat)} outputs.",
            "one output, or `layer`, the name of a layer that has one",
            f"outputs of shapes {', '.join(str(tuple(tensor.shape)) for tensor in flat)}",
            "Ask for a layer, or use keras.Model(model.input, model.get_layer(name).output).",
        )
    return flat[0]


def random_weights(rng, count, output_shape, position):
    """Return weights for `input_gradient` that pick one position of a map, its channels mixed at random.

    Equal weights would not do: after a LayerNorm, the sum over channels is a constant. An output that is no map, such
    as class scores, is mixed as a whole.
    """
    weights = np.zeros((count, *output_shape), "float32")
    where = (slice(None), *(position or ()))
    weights[where] = rng.normal(size=weights[where].shape)
    return weights


def middle(output_shape):
    """Return the middle position of a map, as (row, column); None if the output is no map."""
    return (output_shape[0] // 2, output_shape[1] // 2) if len(output_shape) == 3 else None


def check_layer(layer, paths, ambiguous=()):
    """Return `layer` if it is one of the paths, and not that of several layers."""
    if layer in ambiguous:
        fail(
            "Several layers have this name.",
            "a path that only one layer has",
            f"layer={layer!r}",
            "Give them different names, or put one of them into a model of its own.",
        )
    if layer not in paths:
        near = difflib.get_close_matches(str(layer), list(paths), n=3, cutoff=0.0)
        fail(
            "There is no layer of this name.",
            f"the path of a layer, as {', '.join(repr(path) for path in near)}",
            f"layer={layer!r}",
            "Layers inside others are named by their path, 'block/norm'.",
        )
    return layer
