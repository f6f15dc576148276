"""ACC-UNet written down as it is published, from Keras's own layers: every pooled map upsampled, then concatenated.

It is what `dlt.models.AccUNet` is compared with, in its test and in `benchmarks.acc_unet`. Layers have the names of the
package's weights, with two dashes for each slash, so that `copy_weights` finds them.
"""

import keras
from keras import layers

REACH = (3, 3, 3, 2, 1)


def norm(x, name):
    return layers.BatchNormalization(epsilon=1e-5, momentum=0.9, name=name)(x)


def act(x):
    return layers.LeakyReLU(negative_slope=0.01)(x)


def conv(x, filters, name, size=1):
    return layers.Conv2D(filters, size, padding="same", name=name)(x)


def upsample(x, factor):
    return layers.UpSampling2D(factor)(x) if factor > 1 else x


def squeeze_excitation(x, name):
    s = layers.GlobalAveragePooling2D(keepdims=True)(x)
    s = act(layers.Dense(max(1, x.shape[-1] // 8), name=f"{name}--reduce")(s))
    s = layers.Dense(x.shape[-1], activation="sigmoid", name=f"{name}--restore")(s)
    return act(norm(layers.Multiply()([x, s]), f"{name}--norm"))


def hanc(x, filters, k, name):
    maps = [x]
    for pool in (layers.AveragePooling2D, layers.MaxPooling2D):
        maps += [upsample(pool(2**level)(x), 2**level) for level in range(1, k)]
    x = layers.Concatenate()(maps) if k > 1 else x
    return act(norm(conv(x, filters, f"{name}--project--conv"), f"{name}--norm"))


def hanc_block(inputs, filters, k, expansion, name):
    channels = inputs.shape[-1]
    x = act(norm(conv(inputs, expansion * channels, f"{name}--expand"), f"{name}--expand_norm"))
    x = layers.DepthwiseConv2D(3, padding="same", name=f"{name}--depthwise")(x)
    x = hanc(act(norm(x, f"{name}--depthwise_norm")), channels, k, f"{name}--hanc")
    x = norm(layers.Add()([x, inputs]), f"{name}--sum_norm")
    x = act(norm(conv(x, filters, f"{name}--project"), f"{name}--project_norm"))
    return squeeze_excitation(x, f"{name}--excite")


def res_path(x, num_blocks, name):
    for i in range(num_blocks):
        y = act(norm(conv(x, x.shape[-1], f"{name}--block_{i}_conv", size=3), f"{name}--block_{i}_norm"))
        x = layers.Add()([x, squeeze_excitation(y, f"{name}--block_{i}_excite")])
    return norm(act(norm(x, f"{name}--sum_norm")), f"{name}--out_norm")


def fusion(maps, filters, name, own=None):
    x = act(norm(conv(layers.Concatenate()(maps), filters, f"{name}--project--conv"), f"{name}--norm"))
    x = squeeze_excitation(x, f"{name}--excite")
    return act(norm(x if own is None else layers.Add()([x, own]), f"{name}--out_norm"))


def resize(x, levels):
    """Bring a map to the size of one that is `levels` levels coarser, or finer if negative."""
    for _ in range(levels):
        x = layers.AveragePooling2D(2)(x)
    return upsample(x, 2 ** max(-levels, 0))


def mlfc(maps, name, iteration=0):
    new = []
    for level, own in enumerate(maps):
        part = f"{name}--iteration_{iteration}_level_{level}"
        heard = [resize(x, level - other) for other, x in enumerate(maps)]
        compiled = fusion(heard, own.shape[-1], f"{part}_compile")
        new.append(squeeze_excitation(fusion([compiled, own], own.shape[-1], f"{part}_merge", own), f"{part}_excite"))
    return new


def plain_acc_unet(input_shape=(None, None, 3), base_filters=32, num_classes=1, mlfc_iterations=3, expansion=34):
    """Return the published network, with random weights."""
    widths = [base_filters * 2**level for level in range(5)]
    x = images = keras.Input(input_shape)

    def blocks(x, place, level, second=3):
        for i, inside in enumerate((3, second)):
            x = hanc_block(x, widths[level], REACH[level], inside, f"{place}_block_{i}")
        return x

    skips = []
    for level in range(4):
        skips.append(blocks(x, f"encoder_{level}", level))
        x = layers.MaxPooling2D(2)(skips[-1])
    x = blocks(x, "bottleneck", 4)
    skips = [res_path(skip, 4 - level, f"respath_{level}") for level, skip in enumerate(skips)]
    for i in range(mlfc_iterations):
        skips = mlfc(skips, f"mlfc_{i}")
    for level in reversed(range(4)):
        x = layers.Conv2DTranspose(widths[level], 2, strides=2, name=f"up_{level}")(x)
        x = layers.Concatenate()([x, skips[level]])
        x = blocks(x, f"decoder_{level}", level, expansion if level == 2 else 3)
    activation = "sigmoid" if num_classes == 1 else "softmax"
    return keras.Model(images, layers.Conv2D(num_classes, 1, activation=activation, name="output")(x))


def copy_weights(source, target):
    """Give the plain network, or a part of it, the weights of the package's; the names tell which is which."""
    values = {weight.path: weight for weight in source.weights}
    for weight in target.weights:
        weight.assign(values.pop(weight.path.replace("--", "/")))
    if values:
        raise ValueError(f"The plain network lacks {list(values)}.")
