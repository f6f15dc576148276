"""TensorFlow, several processes: MultiWorkerMirroredStrategy; this starts one.

python tf_workers.py RANK ADDRESS,ADDRESS layer_norm batch_norm drop_path

RANK counts from 0; ADDRESS is a host and a free port, one for each process,
the same list for all. Keras 3's `fit` fails under this strategy
(https://github.com/keras-team/keras/issues/20585), hence a loop of one's own.
"""

import json
import os
import sys

rank, addresses = int(sys.argv[1]), sys.argv[2].split(",")
me = {"type": "worker", "index": rank}
os.environ["TF_CONFIG"] = json.dumps(
    {"cluster": {"worker": addresses}, "task": me}
)
os.environ["KERAS_BACKEND"] = "tensorflow"

import tensorflow as tf

strategy = tf.distribute.MultiWorkerMirroredStrategy()  # before any operation

import keras

import task


def stepper(model, optimizer):
    """Return a function: this worker's images to the loss of all of them."""
    losses = keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, reduction="sum"
    )

    def step(x, y):
        with tf.GradientTape() as tape:
            loss = losses(y, model(x, training=True)) / task.BATCH
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients)  # adds up those of all workers
        return loss

    return tf.function(
        lambda x, y: strategy.reduce("sum", strategy.run(step, (x, y)), None)
    )


def local(array):
    """Return an array as this worker's part of a distributed one."""
    tensor = tf.constant(array)
    return strategy.experimental_distribute_values_from_function(
        lambda context: tensor
    )


for case in sys.argv[3:]:
    keras.utils.set_random_seed(0)
    diary = task.Diary()
    with strategy.scope():
        model = task.network(case)
        optimizer = keras.optimizers.SGD(task.RATE)
        optimizer.build(model.trainable_variables)
    run = stepper(model, optimizer)
    for number in range(task.STEPS):
        diary.write(run(*map(local, task.share(number, rank, len(addresses)))))
    diary.keep(f"tf_workers-{case}-{rank}", model)
