"""Multiply-adds counted by what each backend says it runs: TensorFlow's graph, JAX's jaxpr, PyTorch's own counter."""

import math

import keras
import numpy as np
import pytest


def multiply_adds(model, shape):
    """Return the multiply-adds of a model on one input of a shape, without dlt."""
    count = {"tensorflow": by_tensorflow, "jax": by_jax, "torch": by_torch}[keras.backend.backend()]
    return count(model, shape)


def by_tensorflow(model, shape):
    import tensorflow as tf

    traced = tf.function(lambda x: model(x, training=False)).get_concrete_function(tf.TensorSpec((1, *shape)))
    library = {f.name.decode() if isinstance(f.name, bytes) else f.name: f for f in traced.graph._functions.values()}
    return of_graph(traced.graph, library)


def of_graph(graph, library):
    """Sum over the operations that lead to the graph's outputs: what else was traced never runs."""
    seen, stack = {}, [x.op for x in graph.outputs]
    while stack:
        operation = stack.pop()
        if operation.name not in seen:
            seen[operation.name] = operation
            stack += [x.op for x in operation.inputs] + list(operation.control_inputs)
    return sum(of_operation(operation, library) for operation in seen.values())


def of_operation(operation, library):
    import tensorflow as tf

    def inside(name):
        function = library[operation.get_attr(name).name]
        return of_graph(function.graph, {**library, **{f.name: f for f in function.graph._functions.values()}})

    kind, sides = operation.type, [x.shape for x in operation.inputs]
    if kind in ("Conv2D", "Conv3D"):
        return operation.outputs[0].shape.num_elements() * math.prod(sides[1][:-1])
    if kind == "DepthwiseConv2dNative":
        return operation.outputs[0].shape.num_elements() * math.prod(sides[1][:2])
    if kind == "Conv2DBackpropInput":
        return sides[2].num_elements() * math.prod(sides[1][:-1])
    if kind == "MatMul":
        return operation.outputs[0].shape.num_elements() * sides[0][0 if operation.get_attr("transpose_a") else 1]
    if kind.startswith("BatchMatMul"):
        return operation.outputs[0].shape.num_elements() * sides[0][-2 if operation.get_attr("adj_x") else -1]
    if kind == "Einsum" and len(sides) == 2:
        labels = operation.get_attr("equation").decode().partition("->")[0].split(",")
        found = {}
        for names, side in zip(labels, sides, strict=True):
            names = names.replace("...", "ABCDE"[: len(side) - len(names) + 3])
            found.update(zip(names, side, strict=True))
        return math.prod(found.values())
    if kind in ("PartitionedCall", "StatefulPartitionedCall"):
        return inside("f")
    if kind in ("If", "StatelessIf"):
        return max(inside("then_branch"), inside("else_branch"))
    if kind in ("While", "StatelessWhile"):
        body = inside("body")
        return body and body * steps(operation, library[operation.get_attr("cond").name].graph, tf)
    return 0


def steps(operation, condition, tf):
    """Return how often a loop runs that counts from 0: the smallest number that its condition compares with."""
    bounds = []
    for less in condition.get_operations():
        if less.type == "Less":
            outside = dict(zip((x.name for x in condition.inputs), operation.inputs, strict=True))
            bound = outside.get(less.inputs[1].name, less.inputs[1])
            value = tf.get_static_value(bound)
            if bound.op.type == "StridedSlice":  # one side of a shape
                sides, at = (tf.get_static_value(x) for x in bound.op.inputs[:2])
                value = sides[at[0]]
            bounds += [] if value is None else [int(value)]
    return min(bounds)


def by_jax(model, shape):
    import jax
    from jax.interpreters import partial_eval

    traced = jax.make_jaxpr(lambda x: model(x, training=False))(np.zeros((1, *shape), "float32")).jaxpr
    return of_jaxpr(partial_eval.dce_jaxpr(traced, [True] * len(traced.outvars))[0])  # what else was traced never runs


def of_jaxpr(jaxpr):
    return sum(of_equation(equation) for equation in jaxpr.eqns)


def of_equation(equation):
    kind, parameters = equation.primitive.name, equation.params
    sides = [x.aval.shape for x in equation.invars]
    if kind == "dot_general":
        (contracted, _), _ = parameters["dimension_numbers"]
        return math.prod(equation.outvars[0].aval.shape) * math.prod(sides[0][axis] for axis in contracted)
    if kind == "conv_general_dilated":
        layout = parameters["dimension_numbers"].rhs_spec  # (output, input, *spatial)
        dilated = math.prod(parameters["lhs_dilation"])
        per_output = math.prod(sides[1]) // sides[1][layout[0]]
        if dilated == 1:
            return math.prod(equation.outvars[0].aval.shape) * per_output
        return math.prod(sides[0]) * math.prod(sides[1]) // sides[1][layout[1]]  # a transposed convolution
    if kind == "scan":
        return parameters["length"] * of_jaxpr(parameters["jaxpr"].jaxpr)
    if kind == "cond":
        return max(of_jaxpr(branch.jaxpr) for branch in parameters["branches"])
    inner = (getattr(value, "jaxpr", value) for value in parameters.values())
    return sum(of_jaxpr(value) for value in inner if hasattr(value, "eqns"))


def by_torch(model, shape):
    """Ask PyTorch's own counter, in two things corrected: it does not know one kernel, and it counts rehearsals.

    Attention on a CPU has a kernel of its own, which is in no table of the counter's; its formula for other devices
    holds there too. And before a recurrent layer takes its steps, Keras takes one for nothing, to see the shapes of
    what comes out (of stacked cells, one more): it is no part of the network, and other backends leave it out.
    """
    import torch
    from keras.src import backend
    from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

    def attention(query, key, value, *_, out_shape=None, **__):
        return sdpa_flop_count(query, key, value)

    kernel = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: attention}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backend, "rnn", rehearsing(backend.rnn))
        patch.setattr(keras.layers.RNN, "_maybe_config_dropout_masks", unheard(REHEARSAL))
        with FlopCounterMode(display=False, custom_mapping=kernel) as counter, torch.no_grad():
            model(np.random.default_rng(0).normal(size=(1, *shape)).astype("float32"), training=False)
    return counter.get_total_flops() // 2


REHEARSAL = keras.layers.RNN._maybe_config_dropout_masks


def unheard(function):
    """Return a function that does as before, and PyTorch's counter does not hear of it."""
    from torch.utils._python_dispatch import _disable_current_modes

    def call(*args, **kwargs):
        with _disable_current_modes():
            return function(*args, **kwargs)

    return call


def rehearsing(original):
    """Return Keras's recurrence with the first of its steps unheard; where it unrolls them, it takes none more."""

    def recurrence(step_function, *args, unroll=False, **kwargs):
        rehearsed = unroll

        def step(*inputs):
            nonlocal rehearsed
            first, rehearsed = not rehearsed, True
            return (unheard(step_function) if first else step_function)(*inputs)

        return original(step, *args, unroll=unroll, **kwargs)

    return recurrence
