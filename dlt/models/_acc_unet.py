"""What an ACC-UNet is made of: its layers, wired by name."""

from keras import layers

from dlt.layers import HANCBlock, MLFCLayer, ResPath

DEPTH = 4  # how often the resolution is halved
REACH = (3, 3, 3, 2, 1)  # HANC's k in each level, full size first
MULTIPLE = 2**DEPTH  # what sides have to be multiples of


class Parts:
    """The layers of an ACC-UNet by name, wired from image to output."""

    def __init__(self, config, policy):
        self.config, self.policy = config, policy
        self.widths = [config["base_filters"] * 2**level for level in range(DEPTH + 1)]

    def wire(self, images):
        """Return the output for symbolic images."""
        x, skips = images, []
        for level in range(DEPTH):
            skips.append(self.blocks(x, f"encoder_{level}", level))
            pool = layers.MaxPooling2D(2, data_format="channels_last", dtype=self.policy, name=f"down_{level}")
            x = pool(skips[-1])
        x = self.blocks(x, "bottleneck", DEPTH)
        skips = self.connect(skips)
        for level in reversed(range(DEPTH)):
            x = self.up(x, level)
            x = layers.Concatenate(dtype=self.policy, name=f"up_{level}_join")([x, skips[level]])
            x = self.blocks(x, f"decoder_{level}", level, self.config["expansion"] if level == DEPTH - 2 else 3)
        return self.head()(x)

    def blocks(self, x, name, level, expansion=3):
        """Return what a level's two blocks make of `x`; the first sets the width, the second may be wider inside."""
        for index, inside in enumerate((3, expansion)):
            x = HANCBlock(
                self.widths[level],
                x.shape[-1],
                k=REACH[level],
                expansion=inside,
                kernel_regularizer=self.config["kernel_regularizer"],
                dtype=self.policy,
                name=f"{name}_block_{index}",
            )(x)
        return x

    def connect(self, skips):
        """Return what the decoder gets of the encoder's maps: each refined, then all compiled."""
        settings = {"kernel_regularizer": self.config["kernel_regularizer"], "dtype": self.policy}
        for level, skip in enumerate(skips):
            skips[level] = ResPath(DEPTH - level, name=f"respath_{level}", **settings)(skip)
        for iteration in range(self.config["mlfc_iterations"]):
            skips = MLFCLayer(self.widths[:DEPTH], name=f"mlfc_{iteration}", **settings)(skips)
        return skips

    def up(self, x, level):
        """Return a map of twice the size and half the channels."""
        return layers.Conv2DTranspose(
            self.widths[level],
            2,
            strides=2,
            data_format="channels_last",
            kernel_regularizer=self.config["kernel_regularizer"],
            dtype=self.policy,
            name=f"up_{level}",
        )(x)

    def head(self):
        """Return the 1x1 convolution of the output; it stays float32 in mixed precision."""
        return layers.Conv2D(
            self.config["num_classes"],
            1,
            data_format="channels_last",
            activation=self.config["final_activation"],
            kernel_regularizer=self.config["kernel_regularizer"],
            dtype=self.policy.variable_dtype,
            name="output",
        )
