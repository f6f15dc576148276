"""What a ConvUNext is made of: its checked arguments, and its layers, wired by name."""

import keras
from keras import layers

from dlt._check import check_choice, check_positive_int, check_rate, fail
from dlt.layers import ConvNeXtV1Block, ConvNeXtV2Block, ConvUNextStem, UpsampleLike
from dlt.layers._convnext_block import NORMALIZATIONS

BLOCKS = {"v1": ConvNeXtV1Block, "v2": ConvNeXtV2Block}
KEEP_SCALE = ("linear", "relu", "leaky_relu")
COUNTS = ("depth", "initial_filters", "filter_multiplier", "blocks_per_level", "output_channels")
FLAGS = ("use_bias", "scale_equivariant", "enable_deep_supervision")


def checked(config):
    """Return a ConvUNext's arguments, checked, with "auto" replaced and names looked up."""
    exact = config["scale_equivariant"]
    auto = {"normalization": None if exact else "layer", "activation": "relu" if exact else "gelu"}
    config = config | {name: value for name, value in auto.items() if config[name] == "auto"}
    config |= {name: check_positive_int(name, config[name]) for name in COUNTS}
    config |= {name: bool(config[name]) for name in FLAGS}
    if config["depth"] < 2:
        fail("Invalid `depth`.", "a whole number of at least 2", f"depth={config['depth']}", "Pass 2 or more.")
    check_rate("drop_path_rate", config["drop_path_rate"])
    check_choice("convnext_version", config["convnext_version"], tuple(BLOCKS))
    check_choice("normalization", config["normalization"], NORMALIZATIONS)
    config["activation"] = keras.activations.get(config["activation"])
    config["final_activation"] = keras.activations.get(config["final_activation"])
    config["kernel_regularizer"] = keras.regularizers.get(config["kernel_regularizer"])
    if exact:
        check_keeps_scale(config)
    return config


def check_keeps_scale(config):
    """Raise if an option breaks `f(a x) = a f(x)`."""
    names = {key: keras.activations.serialize(config[key]) for key in ("activation", "final_activation")}
    good = {
        "use_bias": not config["use_bias"],
        "normalization": config["normalization"] != "layer",
        **{key: name in KEEP_SCALE for key, name in names.items()},
    }
    for key in (key for key, keeps in good.items() if not keeps):
        fail(
            f"`{key}` breaks the scale that `scale_equivariant=True` promises.",
            {"use_bias": "False", "normalization": "None or 'bias_free_batch'"}.get(key, f"one of {KEEP_SCALE}"),
            f"{key}={names.get(key, config[key])!r}",
            f"Leave `{key}` out, or pass scale_equivariant=False.",
        )


class Parts:
    """The layers of a ConvUNext by name, wired from image to outputs."""

    def __init__(self, config, policy):
        self.config, self.policy = config, policy
        depth, blocks = config["depth"], config["blocks_per_level"]
        self.widths = [config["initial_filters"] * config["filter_multiplier"] ** level for level in range(depth + 1)]
        num_blocks = (2 * depth + 1) * blocks
        self.rates = (config["drop_path_rate"] * d / max(num_blocks - 1, 1) for d in range(num_blocks))

    def wire(self, images):
        """Return the outputs for symbolic images, finest first: all if deeply supervised, otherwise one."""
        config, skips, outputs = self.config, [], []
        x = self.stem()(images)
        for level in range(config["depth"]):
            x = self.blocks(x, f"encoder_{level}")
            skips.append(x)
            pool = layers.AveragePooling2D(
                2, padding="same", data_format="channels_last", dtype=self.policy, name=f"down_{level}_pool"
            )
            x = pool(x)
            x = self.mix(self.widths[level + 1], f"down_{level}_widen")(x)
        x = self.blocks(x, "bottleneck")
        for level in reversed(range(config["depth"])):
            x = self.merge(x, skips[level], level)
            x = self.blocks(x, f"decoder_{level}")
            if level == 0 or config["enable_deep_supervision"]:
                outputs.insert(0, self.head(level)(x))
        return outputs

    def merge(self, coarse, skip, level):
        """Return the 1x1 convolution of [upsampled coarse, skip], the coarse part taken before the upsampling."""
        width = self.widths[level]
        narrow = self.mix(width, f"up_{level}_coarse", use_bias=False)(coarse)
        narrow = UpsampleLike(dtype=self.policy, name=f"up_{level}_upsample")([narrow, skip])
        skip = self.mix(width, f"up_{level}_skip")(skip)
        return layers.Add(dtype=self.policy, name=f"up_{level}_add")([narrow, skip])

    def stem(self):
        """Return the stem."""
        config = self.config
        return ConvUNextStem(
            config["initial_filters"],
            use_bias=config["use_bias"],
            normalization=config["normalization"],
            kernel_regularizer=config["kernel_regularizer"],
            dtype=self.policy,
            name="stem",
        )

    def blocks(self, x, name):
        """Return what a level's blocks make of `x`."""
        config = self.config
        for j in range(config["blocks_per_level"]):
            x = BLOCKS[config["convnext_version"]](
                drop_path_rate=next(self.rates),
                kernel_regularizer=config["kernel_regularizer"],
                use_bias=config["use_bias"],
                normalization=config["normalization"],
                activation=config["activation"],
                dtype=self.policy,
                name=f"{name}_block_{j}",
            )(x)
        return x

    def mix(self, width, name, use_bias=None):
        """Return a 1x1 convolution."""
        return layers.Dense(
            width,
            use_bias=self.config["use_bias"] if use_bias is None else use_bias,
            kernel_initializer="lecun_normal",  # keeps the size of what passes, which no normalization may restore
            kernel_regularizer=self.config["kernel_regularizer"],
            dtype=self.policy,
            name=name,
        )

    def head(self, level):
        """Return the 1x1 convolution of an output; it stays float32 in mixed precision."""
        return layers.Dense(
            self.config["output_channels"],
            activation=self.config["final_activation"],
            use_bias=self.config["use_bias"],
            kernel_initializer="lecun_normal",
            kernel_regularizer=self.config["kernel_regularizer"],
            dtype=self.policy.variable_dtype,
            name=f"output_{level}",
        )
