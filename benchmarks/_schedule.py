"""The learning rate that most trainings here take."""

import keras


def warmed_cosine(peak, steps, warm_up):
    """Return a rate that rises from 0 to `peak` within `warm_up` steps and falls as a cosine to 0 at step `steps`."""
    return keras.optimizers.schedules.CosineDecay(0.0, steps - warm_up, warmup_target=peak, warmup_steps=warm_up)
