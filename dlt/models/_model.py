import keras


@keras.saving.register_keras_serializable(package="dlt")
class Model(keras.Model):
    """A Keras model that gives its optimizer its variables as soon as it is compiled for training.

    JAX and PyTorch do so before the first step anyway. TensorFlow makes them while it traces that step into a graph,
    and then has to trace it a second time: training any of these networks would begin about twice as late. The same
    happens with metrics that are named by a string, "accuracy", and not with those that are given as objects.
    """

    def compile(self, optimizer="rmsprop", loss=None, *args, **kwargs):
        """Configure the training, as `keras.Model.compile` does; without a loss, the optimizer gets no variables."""
        super().compile(optimizer, loss, *args, **kwargs)
        if loss is not None:
            self.optimizer.build(self.trainable_variables)
