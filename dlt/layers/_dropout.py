import random

import keras

STATE = "seed_generator_state"


@keras.saving.register_keras_serializable(package="dlt")
class Dropout(keras.layers.Dropout):
    """Keras's dropout, with its place in the sequence of random numbers in the file beside the weights.

    Keras saves the state of no seed generator: a training that is saved, loaded and continued would draw other masks
    than one that was never interrupted. Files without that state load too. On PyTorch, dropout without a seed asks
    PyTorch's own generator, which no file knows: a seed is drawn here, as Keras draws it elsewhere.
    """

    def __init__(self, rate, noise_shape=None, seed=None, **kwargs):
        drawn = random.randint(1, 10**9) if seed is None and rate > 0 else seed
        super().__init__(rate, noise_shape, drawn, **kwargs)
        self.seed = seed

    def save_own_variables(self, store):
        """Save the state of the seed generator; a rate of 0 has none."""
        super().save_own_variables(store)
        if self.rate > 0:
            store[STATE] = self.seed_generator.state

    def load_own_variables(self, store):
        """Load what was saved, where both sides have it."""
        if self.rate > 0 and STATE in store:
            self.seed_generator.state.assign(store[STATE])
